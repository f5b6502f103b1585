import { expect, test } from "vitest";
import type { Order, Place, Sale } from "./api";
import { placePace, salePace, spread } from "./pace";
import { stageName, stageOf } from "./stage";

const START = Date.parse("2026-11-27T09:00:00.000Z");

function sale(change: Partial<Sale> = {}): Sale {
  return {
    id: "s",
    slug: "lamp",
    product: { id: "p", name: "Lamp", description: "" },
    price: { amount: 4900, currency: "EUR" },
    listPrice: { amount: 12900, currency: "EUR" },
    quantity: 10,
    available: 10,
    held: 0,
    sold: 0,
    availability: "available",
    status: "active",
    startsAt: "2026-11-27T09:00:00.000Z",
    endsAt: "2026-11-27T10:00:00.000Z",
    limitPerBuyer: 1,
    admission: { type: "fifo", perSecond: 5, checkoutSeconds: 120, lineOpensSecondsBefore: 60 },
    waiting: 0,
    serverTime: "2026-11-27T09:00:00.000Z",
    version: 1,
    ...change,
  };
}

function order(status: Order["status"], change: Partial<Order> = {}): Order {
  const money = { amount: 4900, currency: "EUR" };
  const at = "2026-11-27T09:00:00.000Z";
  return {
    id: `o-${status}`,
    flashSaleId: "s",
    status,
    quantity: 1,
    unitPrice: money,
    total: money,
    createdAt: at,
    updatedAt: at,
    expiresAt: at,
    ...change,
  };
}

function place(change: Partial<Place> = {}): Place {
  return {
    flashSaleId: "s",
    ticket: 7,
    position: 3,
    ahead: 2,
    status: "waiting",
    availability: "available",
    estimatedWaitSeconds: 10,
    receipt: "7-x",
    ...change,
  };
}

const kind = (...args: Parameters<typeof stageOf>) => stageOf(...args).kind;

test("what a buyer has counts more than what the sale is doing", () => {
  expect(kind(sale({ status: "ended" }), null, [order("pending")], START)).toBe("held");
  expect(kind(sale({ availability: "sold_out" }), place({ status: "admitted" }), [], START)).toBe("admitted");
  expect(kind(sale({ status: "paused" }), place(), [], START)).toBe("waiting");
  expect(kind(sale({ status: "ended" }), place(), [], START)).toBe("over");
  expect(kind(sale({ availability: "sold_out" }), null, [order("confirmed")], START)).toBe("bought");
});

test("orders that came to nothing, and those of other sales, do not count", () => {
  const nothing = [order("expired"), order("declined"), order("cancelled"), order("refunded")];
  expect(kind(sale(), null, nothing, START)).toBe("line");
  expect(kind(sale(), null, [order("confirmed", { flashSaleId: "other" })], START)).toBe("line");
});

test("a line before the start is told with the moment it opens", () => {
  const upcoming = sale({ status: "upcoming" });
  expect(stageOf(upcoming, null, [], START - 90_000)).toMatchObject({ line: { opensMs: START - 60_000 } });
  expect(stageOf(upcoming, null, [], START - 60_000)).toMatchObject({ line: "open" });
  const open = sale({ status: "upcoming", admission: { type: "open" } });
  expect(stageOf(open, null, [], START - 60_000)).toMatchObject({ line: "none" });
});

test("units in other carts are not sold out, and in a line one waits for them", () => {
  const open = sale({ admission: { type: "open" }, availability: "all_held" });
  expect(kind(open, null, [], START)).toBe("all_held");
  expect(kind(sale({ availability: "all_held" }), null, [], START)).toBe("line");
  expect(kind(sale({ availability: "sold_out" }), null, [], START)).toBe("sold_out");
});

test("who may own more is told how many", () => {
  const two = sale({ limitPerBuyer: 3 });
  expect(stageOf(two, null, [order("confirmed")], START)).toMatchObject({ mayBuyMore: 2 });
  expect(stageOf(sale(), null, [order("confirmed")], START)).toMatchObject({ mayBuyMore: 0 });
});

test("a new order is news, a changed position is not", () => {
  const name = (...args: Parameters<typeof stageOf>) => stageName(stageOf(...args));
  expect(name(sale(), place(), [], START)).toBe(name(sale(), place({ position: 1, ahead: 0 }), [], START));
  expect(name(sale(), null, [order("pending", { id: "a" })], START)).not.toBe(
    name(sale(), null, [order("pending", { id: "b" })], START),
  );
});

test("the nearer the front, the more often one asks", () => {
  const paces = [
    place({ status: "admitted" }),
    place(),
    place({ ahead: 100, estimatedWaitSeconds: 600 }),
    place({ ahead: 2_000, estimatedWaitSeconds: 600 }),
    place({ ahead: 50_000, estimatedWaitSeconds: 6_000 }),
  ].map(placePace);
  expect(paces).toEqual([1_000, 1_000, 3_000, 8_000, 20_000]);
  expect(salePace(sale({ status: "upcoming" }), START - 10_000)).toBe(1_000);
  expect(salePace(sale({ status: "upcoming" }), START - 3_600_000)).toBe(30_000);
  expect([spread(1_000, 0), spread(1_000, 1)]).toEqual([900, 1_100]);
});
