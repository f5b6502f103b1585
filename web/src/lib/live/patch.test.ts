import { type QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Order, Place, Sale } from "../api";
import type { Patches } from "./patch";
import type { InventoryWord, OrderWord, PlaceWord } from "./words";

const AT = "2026-11-27T09:00:00.000Z";
const UNTIL = "2026-11-27T09:05:00.000Z";
const SALE = ["sale", "lamp"];
const PLACE = ["own", "place", "s"];
const NEWEST = ["own", "orders", "newest"];

const sale = { id: "s", slug: "lamp", available: 3, status: "upcoming", version: 5, serverTime: AT } as Sale;
const place = {
  flashSaleId: "s",
  ticket: 7,
  position: 3,
  ahead: 2,
  status: "waiting",
  receipt: "7-x",
} as Place;
const order = { id: "o", flashSaleId: "s", status: "pending", expiresAt: UNTIL } as Order;

const inventory = (change: Partial<InventoryWord>) =>
  ({
    flashSaleId: "s",
    available: 2,
    status: "active",
    serverTime: AT,
    version: 6,
    ...change,
  }) as InventoryWord;
const stands = (change: Partial<PlaceWord>): PlaceWord => ({
  flashSaleId: "s",
  ticket: 7,
  position: 2,
  ahead: 1,
  status: "waiting",
  estimatedWaitSeconds: 5,
  version: 6,
  ...change,
});
const ordered = (change: Partial<OrderWord>): OrderWord => ({
  id: "o",
  flashSaleId: "s",
  status: "pending",
  expiresAt: UNTIL,
  version: 6,
  ...change,
});

let queries: QueryClient;
let patches: Patches;
/** What the server was asked, and what it says then. */
const asked: string[] = [];
const ends: (() => void)[] = [];

beforeEach(async () => {
  vi.stubGlobal("location", { origin: "http://shop.example" });
  const { QueryClient } = await import("@tanstack/react-query");
  const patch = await import("./patch");
  queries = new QueryClient();
  patches = new patch.Patches(queries);
  asked.length = 0;
});

afterEach(() => {
  for (const end of ends.splice(0)) end();
  vi.unstubAllGlobals();
});

/** Something that a page is looking at. */
function shown<T>(key: string[], data: T, answer: () => T = () => data): void {
  queries.setQueryData(key, data);
  const queryFn = () => {
    asked.push(key.join(" "));
    return answer();
  };
  const look = new QueryObserver(queries, { queryKey: key, queryFn, staleTime: Number.POSITIVE_INFINITY });
  ends.push(look.subscribe(() => {}));
}

test("sums and status are patched under the sale's name, and what is older is dropped", () => {
  shown(SALE, sale);
  patches.inventory(inventory({}));
  expect(queries.getQueryData(SALE)).toMatchObject({
    available: 2,
    status: "active",
    slug: "lamp",
    version: 6,
  });
  patches.inventory(inventory({ version: 5, available: 9 }));
  patches.status({ flashSaleId: "s", status: "paused", version: 5, serverTime: AT });
  expect(queries.getQueryData(SALE)).toMatchObject({ available: 2, status: "active" });
  patches.status({ flashSaleId: "s", status: "ended", version: 6, serverTime: UNTIL });
  expect(queries.getQueryData(SALE)).toMatchObject({ status: "ended" });
  patches.inventory(inventory({ flashSaleId: "other", version: 99, available: 0 }));
  expect(queries.getQueryData(SALE)).toMatchObject({ available: 2 });
  expect(asked).toEqual([]);
});

test("a place moves on with its receipt, and turns into a turn", () => {
  shown<Place | null>(PLACE, place);
  patches.place(stands({}));
  expect(queries.getQueryData(PLACE)).toMatchObject({ position: 2, ahead: 1, receipt: "7-x" });
  patches.place(stands({ version: 5, position: 1, ahead: 0 }));
  expect(queries.getQueryData(PLACE)).toMatchObject({ position: 2 });
  const turn = (change: Partial<PlaceWord>) =>
    stands({ status: "admitted", position: 0, ahead: 0, admittedUntil: UNTIL, ...change });
  patches.place(turn({ version: 7 }));
  expect(queries.getQueryData(PLACE)).toMatchObject({ status: "admitted", admittedUntil: UNTIL });
  patches.place(turn({ extensionSeconds: 60, version: 8 }));
  expect(queries.getQueryData(PLACE)).toHaveProperty("extensionSeconds", 60);
  patches.place(turn({ version: 9 }));
  expect(queries.getQueryData(PLACE)).not.toHaveProperty("extensionSeconds");
  patches.place(stands({ status: "lapsed", position: 0, ahead: 0, version: 10 }));
  expect(queries.getQueryData(PLACE)).toBeNull();
  expect(asked).toEqual([]);
});

test("a place that was taken in another tab is asked for, because only an answer has the receipt", async () => {
  shown<Place | null>(PLACE, null, () => ({ ...place, ticket: 8 }));
  patches.place(stands({ ticket: 8, position: 1 }));
  await vi.waitFor(() => expect(queries.getQueryData(PLACE)).toMatchObject({ ticket: 8, receipt: "7-x" }));
  patches.place(stands({ ticket: 7, status: "left", version: 9 }));
  expect(queries.getQueryData(PLACE)).toMatchObject({ ticket: 8 });
});

test("a turn that was used stays until its order is there, so the way into the line does not show in between", async () => {
  const seen: string[] = [];
  shown<Place | null>(PLACE, { ...place, status: "admitted" });
  shown<{ items: Order[] }>(NEWEST, { items: [] }, () => ({ items: [order] }));
  queries.getQueryCache().subscribe(() => {
    const isHeld = (queries.getQueryData<{ items: Order[] }>(NEWEST)?.items.length ?? 0) > 0;
    seen.push(isHeld ? "held" : queries.getQueryData(PLACE) ? "admitted" : "line");
  });
  patches.place(stands({ status: "served", position: 0, ahead: 0 }));
  patches.order(ordered({}));
  await vi.waitFor(() => expect(queries.getQueryData(PLACE)).toBeNull());
  expect(seen).not.toContain("line");
});

test("an order changes in all lists at once; one that is new is asked for; the same again is nothing", async () => {
  const pages = { pages: [{ items: [order] }, { items: [] }], pageParams: ["", "x"] };
  queries.setQueryData(["own", "orders"], pages);
  queries.setQueryData(["own", "order", "o"], order);
  shown(NEWEST, { items: [order] });
  patches.order(ordered({}));
  expect(asked).toEqual([]);
  patches.order({ id: "o", flashSaleId: "s", status: "confirmed", version: 7 });
  expect(queries.getQueryData(["own", "orders"])).toMatchObject({
    pages: [{ items: [{ status: "confirmed" }] }, {}],
  });
  expect(queries.getQueryData(["own", "order", "o"])).toMatchObject({ status: "confirmed" });
  expect(queries.getQueryData(NEWEST)).toMatchObject({ items: [{ status: "confirmed" }] });
  patches.order(ordered({ version: 6 }));
  expect(queries.getQueryData(NEWEST)).toMatchObject({ items: [{ status: "confirmed" }] });
  expect(asked).toEqual([]);
  patches.order(ordered({ id: "new", version: 8 }));
  await vi.waitFor(() => expect(asked).toEqual([NEWEST.join(" ")]));
});
