import { expect, test } from "vitest";
import { makeOrder as order, makePlace as place, makeSale as sale } from "../../lib/testFixtures";
import { getBuyerStage, stageKey, turnQuantityMax, waitingProspect } from "./buyerStage";

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

test("an order that is being paid is neither held nor expired", () => {
  const paying = order("pending", { paying: true });
  expect(getBuyerStage(sale(), null, [paying], START)).toEqual({ kind: "paying", order: paying });
  expect(kind(sale({ status: "ended" }), null, [paying], START + 9_000_000)).toBe("paying");
});

test("a missed turn is told until the buyer joins again or the sale is over", () => {
  const lapsed = place({ status: "lapsed", lapsedAt: "2026-11-27T09:47:00.000Z" });
  expect(getBuyerStage(sale(), lapsed, [], START)).toEqual({
    kind: "lapsed",
    at: "2026-11-27T09:47:00.000Z",
  });
  expect(kind(sale({ availability: "sold_out" }), lapsed, [], START)).toBe("lapsed");
  expect(kind(sale(), lapsed, [order("confirmed")], START)).toBe("bought");
  expect(kind(sale({ status: "ended" }), lapsed, [], START)).toBe("over");
  expect(kind(sale(), place({ status: "left" }), [], START)).toBe("line");
});

test("a line that is over says why, whichever of sale and place the page hears of first", () => {
  const over = place({ status: "over", reason: "deleted" });
  expect(getBuyerStage(sale(), over, [], START)).toEqual({ kind: "over", reason: "deleted", hadPlace: true });
  expect(getBuyerStage(sale({ status: "closed" }), place(), [], START)).toEqual({
    ...{ kind: "over", reason: "closed", hadPlace: false },
  });
  expect(getBuyerStage(sale({ status: "ended" }), null, [], START)).toMatchObject({ reason: "ended" });
});

test("the turn of a paused sale stands still", () => {
  const paused = place({ status: "admitted", remainingSeconds: 61 });
  expect(getBuyerStage(sale({ status: "paused" }), paused, [], START)).toMatchObject({
    ...{ kind: "admitted", end: { kind: "frozen", leftMs: 61_000 } },
  });
});

test("while the server's time is unknown, the line before the start is not called open", () => {
  expect(getBuyerStage(sale({ status: "upcoming" }), null, [], null)).toMatchObject({
    line: { opensMs: START - 60_000 },
  });
});

test("an estimate is shown only where units can reach the place", () => {
  expect(waitingProspect(sale(), place({ unitsLeft: 10 }))).toEqual({ kind: "estimate", seconds: 10 });
  expect(waitingProspect(sale(), place({ ahead: 30, unitsLeft: 3 }))).toEqual({
    ...{ kind: "beyond_stock", unitsLeft: 3 },
  });
  // Without the field, what is not sold counts.
  expect(waitingProspect(sale({ sold: 8 }), place())).toEqual({ kind: "beyond_stock", unitsLeft: 2 });
  expect(waitingProspect(sale(), place({ estimatedWaitSeconds: null }))).toEqual({ kind: "unknown" });
  expect(waitingProspect(sale({ status: "paused" }), place())).toEqual({ kind: "unknown" });
  expect(waitingProspect(sale({ availability: "all_held" }), place())).toEqual({ kind: "unknown" });
  expect(waitingProspect(sale(), place({ ahead: 0, position: 1, estimatedWaitSeconds: 0 }))).toEqual({
    kind: "next",
  });
});

test("a buyer whose turn it is may ask for the unit that is set aside, and for free ones up to the limit", () => {
  expect(turnQuantityMax(sale({ limitPerBuyer: 2, available: 0 }), [])).toBe(1);
  expect(turnQuantityMax(sale({ limitPerBuyer: 3, available: 9 }), [])).toBe(3);
  expect(turnQuantityMax(sale({ limitPerBuyer: 3, available: 1 }), [])).toBe(2);
  expect(turnQuantityMax(sale({ limitPerBuyer: 3, available: 9 }), [order("confirmed")])).toBe(2);
});
