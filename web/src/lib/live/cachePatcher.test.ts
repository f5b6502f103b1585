import { type QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Order, Place, Sale } from "../api";
import type { CachePatcher } from "./cachePatcher";
import type { InventoryMessage, OrderMessage, PlaceMessage } from "./messages";

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

const inventoryMessage = (change: Partial<InventoryMessage>) =>
  ({
    flashSaleId: "s",
    available: 2,
    status: "active",
    serverTime: AT,
    version: 6,
    ...change,
  }) as InventoryMessage;
const placeMessage = (change: Partial<PlaceMessage>): PlaceMessage => ({
  flashSaleId: "s",
  ticket: 7,
  position: 2,
  ahead: 1,
  status: "waiting",
  estimatedWaitSeconds: 5,
  version: 6,
  ...change,
});
const orderMessage = (change: Partial<OrderMessage>): OrderMessage => ({
  id: "o",
  flashSaleId: "s",
  status: "pending",
  expiresAt: UNTIL,
  version: 6,
  ...change,
});

let queries: QueryClient;
let patcher: CachePatcher;
/** The keys of the queries that were fetched. */
const fetched: string[] = [];
const ends: (() => void)[] = [];

beforeEach(async () => {
  vi.stubGlobal("location", { origin: "http://shop.example" });
  const { QueryClient } = await import("@tanstack/react-query");
  const { CachePatcher } = await import("./cachePatcher");
  queries = new QueryClient();
  patcher = new CachePatcher(queries);
  fetched.length = 0;
});

afterEach(() => {
  for (const end of ends.splice(0)) end();
  vi.unstubAllGlobals();
});

/** A query that a page shows. */
function showQuery<T>(key: string[], data: T, reply: () => T = () => data): void {
  queries.setQueryData(key, data);
  const queryFn = () => {
    fetched.push(key.join(" "));
    return reply();
  };
  const observer = new QueryObserver(queries, {
    queryKey: key,
    queryFn,
    staleTime: Number.POSITIVE_INFINITY,
  });
  ends.push(observer.subscribe(() => {}));
}

test("counters and status are patched under the sale's slug, and older messages are dropped", () => {
  showQuery(SALE, sale);
  patcher.applyInventory(inventoryMessage({}));
  expect(queries.getQueryData(SALE)).toMatchObject({
    available: 2,
    status: "active",
    slug: "lamp",
    version: 6,
  });
  patcher.applyInventory(inventoryMessage({ version: 5, available: 9 }));
  patcher.applySaleStatus({ flashSaleId: "s", status: "paused", version: 5, serverTime: AT });
  expect(queries.getQueryData(SALE)).toMatchObject({ available: 2, status: "active" });
  patcher.applySaleStatus({ flashSaleId: "s", status: "ended", version: 6, serverTime: UNTIL });
  expect(queries.getQueryData(SALE)).toMatchObject({ status: "ended" });
  patcher.applyInventory(inventoryMessage({ flashSaleId: "other", version: 99, available: 0 }));
  expect(queries.getQueryData(SALE)).toMatchObject({ available: 2 });
  expect(fetched).toEqual([]);
});

test("a place moves on and keeps its receipt until the turn and after it", () => {
  showQuery<Place | null>(PLACE, place);
  patcher.applyPlace(placeMessage({}));
  expect(queries.getQueryData(PLACE)).toMatchObject({ position: 2, ahead: 1, receipt: "7-x" });
  patcher.applyPlace(placeMessage({ version: 5, position: 1, ahead: 0 }));
  expect(queries.getQueryData(PLACE)).toMatchObject({ position: 2 });
  const admitted = (change: Partial<PlaceMessage>) =>
    placeMessage({ status: "admitted", position: 0, ahead: 0, admittedUntil: UNTIL, ...change });
  patcher.applyPlace(admitted({ version: 7 }));
  expect(queries.getQueryData(PLACE)).toMatchObject({ status: "admitted", admittedUntil: UNTIL });
  patcher.applyPlace(admitted({ extensionSeconds: 60, version: 8 }));
  expect(queries.getQueryData(PLACE)).toHaveProperty("extensionSeconds", 60);
  patcher.applyPlace(admitted({ version: 9 }));
  expect(queries.getQueryData(PLACE)).not.toHaveProperty("extensionSeconds");
  const lapsed = { status: "lapsed", position: 0, ahead: 0, lapsedAt: UNTIL, version: 10 } as const;
  patcher.applyPlace(placeMessage(lapsed));
  expect(queries.getQueryData(PLACE)).toMatchObject({
    status: "lapsed",
    lapsedAt: UNTIL,
    admittedUntil: null,
  });
  patcher.applyPlace(placeMessage({ version: 11 }));
  expect(queries.getQueryData(PLACE)).toMatchObject({ status: "lapsed" });
  expect(fetched).toEqual([]);
});

test("in a pause a turn has a rest and no end, and after it an end again", () => {
  showQuery<Place | null>(PLACE, { ...place, status: "admitted", admittedUntil: AT });
  const admitted = { status: "admitted", position: 0, ahead: 0 } as const;
  patcher.applyPlace(placeMessage({ ...admitted, remainingSeconds: 42, version: 7 }));
  expect(queries.getQueryData(PLACE)).toMatchObject({ admittedUntil: null, remainingSeconds: 42 });
  patcher.applyPlace(placeMessage({ ...admitted, admittedUntil: UNTIL, version: 8 }));
  expect(queries.getQueryData(PLACE)).toMatchObject({ admittedUntil: UNTIL, remainingSeconds: null });
});

test("a place that ends with its sale keeps the reason, and one whose missed turn has no moment is fetched", async () => {
  showQuery<Place | null>(PLACE, place);
  const over = { status: "over", position: 0, ahead: 0, estimatedWaitSeconds: null } as const;
  patcher.applyPlace(placeMessage({ ...over, reason: "closed", version: 7 }));
  expect(queries.getQueryData(PLACE)).toMatchObject({ status: "over", reason: "closed", ahead: 0 });
  const lapsed = { ...place, ticket: 8, status: "lapsed", lapsedAt: UNTIL } as Place;
  showQuery<Place | null>(["own", "place", "t"], { ...place, flashSaleId: "t", ticket: 8 }, () => lapsed);
  patcher.applyPlace(placeMessage({ flashSaleId: "t", ticket: 8, status: "lapsed", version: 7 }));
  await vi.waitFor(() => expect(fetched).toEqual(["own place t"]));
});

test("a place that was taken in another tab is fetched, because only a reply has the receipt", async () => {
  showQuery<Place | null>(PLACE, null, () => ({ ...place, ticket: 8 }));
  patcher.applyPlace(placeMessage({ ticket: 8, position: 1 }));
  await vi.waitFor(() => expect(queries.getQueryData(PLACE)).toMatchObject({ ticket: 8, receipt: "7-x" }));
  patcher.applyPlace(placeMessage({ ticket: 7, status: "left", version: 9 }));
  expect(queries.getQueryData(PLACE)).toMatchObject({ ticket: 8 });
});

test("a used turn stays until its order is cached, so the page does not offer the line in between", async () => {
  const seen: string[] = [];
  showQuery<Place | null>(PLACE, { ...place, status: "admitted" });
  showQuery<{ items: Order[] }>(NEWEST, { items: [] }, () => ({ items: [order] }));
  queries.getQueryCache().subscribe(() => {
    const isHeld = (queries.getQueryData<{ items: Order[] }>(NEWEST)?.items.length ?? 0) > 0;
    seen.push(isHeld ? "held" : queries.getQueryData(PLACE) ? "admitted" : "line");
  });
  patcher.applyPlace(placeMessage({ status: "served", position: 0, ahead: 0 }));
  patcher.applyOrder(orderMessage({}));
  await vi.waitFor(() => expect(queries.getQueryData(PLACE)).toBeNull());
  expect(seen).not.toContain("line");
});

test("a payment that begins or ends changes the order, and nothing else does", () => {
  showQuery(["own", "order", "o"], { ...order, paying: false });
  patcher.applyOrder(orderMessage({ paying: true }));
  expect(queries.getQueryData(["own", "order", "o"])).toMatchObject({ status: "pending", paying: true });
  patcher.applyOrder(orderMessage({ paying: false, version: 7 }));
  expect(queries.getQueryData(["own", "order", "o"])).toMatchObject({ status: "pending", paying: false });
});

test("an order changes in all lists at once; a new one is fetched; a repeated message changes nothing", async () => {
  const pages = { pages: [{ items: [order] }, { items: [] }], pageParams: ["", "x"] };
  queries.setQueryData(["own", "orders"], pages);
  queries.setQueryData(["own", "order", "o"], order);
  showQuery(NEWEST, { items: [order] });
  patcher.applyOrder(orderMessage({}));
  expect(fetched).toEqual([]);
  patcher.applyOrder({ id: "o", flashSaleId: "s", status: "confirmed", version: 7 });
  expect(queries.getQueryData(["own", "orders"])).toMatchObject({
    pages: [{ items: [{ status: "confirmed" }] }, {}],
  });
  expect(queries.getQueryData(["own", "order", "o"])).toMatchObject({ status: "confirmed" });
  expect(queries.getQueryData(NEWEST)).toMatchObject({ items: [{ status: "confirmed" }] });
  patcher.applyOrder(orderMessage({ version: 6 }));
  expect(queries.getQueryData(NEWEST)).toMatchObject({ items: [{ status: "confirmed" }] });
  expect(fetched).toEqual([]);
  patcher.applyOrder(orderMessage({ id: "new", version: 8 }));
  await vi.waitFor(() => expect(fetched).toEqual([NEWEST.join(" ")]));
});
