import { expect, test } from "vitest";
import { makeOrder as order, makePlace as place, makeSale as sale } from "../../lib/testFixtures";
import { getBuyerStage, stageKey } from "./buyerStage";

const START = Date.parse("2026-11-27T09:00:00.000Z");

const kind = (...args: Parameters<typeof getBuyerStage>) => getBuyerStage(...args).kind;

test("the buyer's own units come before the state of the sale", () => {
  expect(kind(sale({ status: "ended" }), null, [order("pending")], START)).toBe("held");
  expect(kind(sale({ availability: "sold_out" }), place({ status: "admitted" }), [], START)).toBe("admitted");
  expect(kind(sale({ status: "paused" }), place(), [], START)).toBe("waiting");
  expect(kind(sale({ status: "ended" }), place(), [], START)).toBe("over");
  expect(kind(sale({ availability: "sold_out" }), null, [order("confirmed")], START)).toBe("bought");
});

test("unsuccessful orders, and those of other sales, do not count", () => {
  const nothing = [order("expired"), order("declined"), order("cancelled"), order("refunded")];
  expect(kind(sale(), null, nothing, START)).toBe("line");
  expect(kind(sale(), null, [order("confirmed", { flashSaleId: "other" })], START)).toBe("line");
});

test("before the start the stage has the moment at which the line opens", () => {
  const upcoming = sale({ status: "upcoming" });
  expect(getBuyerStage(upcoming, null, [], START - 90_000)).toMatchObject({
    line: { opensMs: START - 60_000 },
  });
  expect(getBuyerStage(upcoming, null, [], START - 60_000)).toMatchObject({ line: "open" });
  const open = sale({ status: "upcoming", admission: { type: "open" } });
  expect(getBuyerStage(open, null, [], START - 60_000)).toMatchObject({ line: "none" });
});

test("held units are not sold out, and a line stays open for them", () => {
  const open = sale({ admission: { type: "open" }, availability: "all_held" });
  expect(kind(open, null, [], START)).toBe("all_held");
  expect(kind(sale({ availability: "all_held" }), null, [], START)).toBe("line");
  expect(kind(sale({ availability: "sold_out" }), null, [], START)).toBe("sold_out");
});

test("a buyer below the limit may buy the rest of it", () => {
  const two = sale({ limitPerBuyer: 3 });
  expect(getBuyerStage(two, null, [order("confirmed")], START)).toMatchObject({ mayBuyMore: 2 });
  expect(getBuyerStage(sale(), null, [order("confirmed")], START)).toMatchObject({ mayBuyMore: 0 });
});

test("a new order changes the key, a new position does not", () => {
  const name = (...args: Parameters<typeof getBuyerStage>) => stageKey(getBuyerStage(...args));
  expect(name(sale(), place(), [], START)).toBe(name(sale(), place({ position: 1, ahead: 0 }), [], START));
  expect(name(sale(), null, [order("pending", { id: "a" })], START)).not.toBe(
    name(sale(), null, [order("pending", { id: "b" })], START),
  );
});
