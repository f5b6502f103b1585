import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Place } from "../api";
import { syncClock } from "../clock";
import type { LineFeed } from "../lineFeed";
import { queryKeys } from "../queryKeys";
import { makePlace } from "../testFixtures";
import { feedState } from "./feedState";
import { FeedWatcher } from "./feedWatcher";

const START = "2026-11-27T09:00:00.000Z";
let page: EventTarget & { hidden: boolean };
let feed: LineFeed;
let requests: Request[];
let queries: QueryClient;

function makeFeed(serving: number, change: Partial<LineFeed> = {}): LineFeed {
  return {
    flashSaleId: "s",
    version: serving,
    serverTime: START,
    status: "active",
    paused: false,
    availability: "available",
    startsAt: START,
    endsAt: "2026-11-27T10:00:00.000Z",
    perSecond: 1,
    limitPerBuyer: 1,
    unitsLeft: 40,
    available: 40,
    admitted: 0,
    held: 0,
    sold: 0,
    line: {
      serving,
      lastTicket: 9,
      waiting: 9 - serving,
      exactTickets: 9 - serving,
      gone: "",
      blocks: "",
      errorPerMille: 1,
    },
    ...change,
  };
}

const place = () => queries.getQueryData<Place | null>(queryKeys.place("s"));
const nextSecond = () => vi.advanceTimersByTimeAsync(1_200);

beforeEach(() => {
  vi.useFakeTimers();
  // Without jitter.
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  page = Object.assign(new EventTarget(), { hidden: false });
  vi.stubGlobal("document", page);
  vi.stubGlobal("location", { origin: "http://shop.example" });
  requests = [];
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    requests.push(new Request(new URL(url, "http://shop.example"), init));
    return Response.json(feed);
  });
  syncClock(START, null, performance.now(), performance.now());
  queries = new QueryClient();
  queries.setQueryData(queryKeys.place("s"), makePlace({ ticket: 7, position: 7, ahead: 6, unitsLeft: 41 }));
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

test("the place moves with the feed, without saying who asks", async () => {
  feed = makeFeed(2);
  const watcher = new FeedWatcher(queries);
  watcher.watch(["s"]);
  await nextSecond();
  expect(place()).toMatchObject({ position: 5, ahead: 4, unitsLeft: 40, status: "waiting", receipt: "7-x" });
  expect(feedState.isFresh("s")).toBe(true);
  expect(requests[0]?.url).toBe("http://shop.example/api/v1/flash-sales/s/line-feed");
  expect(requests[0]?.headers.has("authorization")).toBe(false);
  feed = makeFeed(4);
  await nextSecond();
  expect(place()?.position).toBe(3);
  watcher.watch([]);
  const asked = requests.length;
  await nextSecond();
  expect(requests.length).toBe(asked);
});

test("an older feed changes nothing, and a place never gets worse", async () => {
  feed = makeFeed(4);
  const watcher = new FeedWatcher(queries);
  watcher.watch(["s"]);
  await nextSecond();
  feed = makeFeed(3);
  await nextSecond();
  feed = makeFeed(1, { version: 9 });
  await nextSecond();
  expect(place()?.position).toBe(3);
  watcher.watch([]);
});

test("when the turn has come, or the sale is over, the place is fetched, and not each second", async () => {
  feed = makeFeed(7);
  const invalidate = vi.spyOn(queries, "invalidateQueries");
  const watcher = new FeedWatcher(queries);
  watcher.watch(["s"]);
  await nextSecond();
  await nextSecond();
  expect(invalidate.mock.calls).toEqual([[{ queryKey: queryKeys.place("s") }]]);
  expect(place()?.position).toBe(7);
  feed = makeFeed(8, { line: null, status: "ended" });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(invalidate.mock.calls.length).toBe(2);
  watcher.watch([]);
});

test("a hidden tab reads nothing, and goes on when it is shown", async () => {
  feed = makeFeed(2);
  page.hidden = true;
  const watcher = new FeedWatcher(queries);
  watcher.watch(["s"]);
  await nextSecond();
  expect(requests.length).toBe(0);
  page.hidden = false;
  page.dispatchEvent(new Event("visibilitychange"));
  await nextSecond();
  expect(place()?.position).toBe(5);
  page.hidden = true;
  await nextSecond();
  const asked = requests.length;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(requests.length).toBe(asked);
  watcher.watch([]);
});

test("failures come rarer, and are not relied on", async () => {
  vi.stubGlobal("fetch", async (url: string) => {
    requests.push(new Request(new URL(url, "http://shop.example")));
    return new Response("", { status: 503 });
  });
  const watcher = new FeedWatcher(queries);
  watcher.watch(["s"]);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(requests.length).toBeLessThan(6);
  expect(place()?.position).toBe(7);
  watcher.watch([]);
});
