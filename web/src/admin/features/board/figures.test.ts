import { expect, test } from "vitest";
import type { Series, Server } from "../../lib/boardQueries";
import { latelyOf, merged, percent, percentileMs, pieces, rate } from "./figures";

const at = (second: number) => new Date(1_800_000_000_000 + second * 1000).toISOString();
const none = {
  joined: 0,
  admitted: 0,
  left: 0,
  lapsed: 0,
  ordered: 0,
  confirmed: 0,
  expired: 0,
  cancelled: 0,
  declined: 0,
  refunded: 0,
};
const units = (sold: number) => ({ available: 10 - sold, admitted: 0, held: 0, sold, waiting: 0 });

const series: Series = {
  from: at(0),
  to: at(50),
  stepSeconds: 5,
  before: units(1),
  buckets: [
    { ...none, at: at(10), ordered: 20, confirmed: 2, refused: 0, units: units(3) },
    { ...none, at: at(25), refused: 7, units: null },
    { ...none, at: at(40), ordered: 5, refused: 0, units: units(4) },
  ],
  completeUntil: at(46),
  projectedVersion: 9,
  projectionLag: 0,
  serverTime: at(46),
};

test("where nothing happened things stand as before", () => {
  const all = pieces(series);
  expect(all.length).toBe(10);
  expect(all.map((piece) => piece.units.sold)).toEqual([1, 1, 3, 3, 3, 3, 3, 3, 4, 4]);
  expect(all[5]).toMatchObject({ refused: 7, ordered: 0 });
  expect(pieces({ ...series, before: null })[0]?.units.sold).toBe(3);
});

test("pieces that are put together keep their sums and how things stood last", () => {
  const three = merged(pieces(series), 3);
  expect(three.map((piece) => piece.ordered)).toEqual([20, 0, 5, 0]);
  expect(three.map((piece) => piece.units.sold)).toEqual([3, 3, 4, 4]);
  expect(three.reduce((sum, piece) => sum + piece.refused, 0)).toBe(7);
});

test("a rate is over what is complete, not over what is still to come", () => {
  expect(rate(series, "ordered", 1)).toBe(1);
  expect(rate(series, "ordered", 2)).toBe(0.5);
  expect(rate({ ...series, completeUntil: at(15) }, "ordered", 2)).toBe(2);
  expect(rate({ ...series, completeUntil: at(0) }, "ordered", 2)).toBe(0);
});

test("a share says neither all nor none where it is not so", () => {
  expect([percent(0, 9), percent(9, 9), percent(1, 3), percent(1, 0)]).toEqual([0, 100, 33, 0]);
  expect([percent(1, 10_000), percent(9_999, 10_000)]).toEqual([1, 99]);
});

test("a percentile lies within its bounds, and none is told of nothing", () => {
  const bounds = [0.001, 0.002, 0.004];
  expect(percentileMs([0, 0, 0, 0], bounds, 0.5)).toBe(null);
  expect(percentileMs([0, 10, 0, 0], bounds, 0.5)).toBeCloseTo(1.5);
  expect(percentileMs([98, 0, 2, 0], bounds, 0.99)).toBeCloseTo(3);
  expect(percentileMs([0, 0, 0, 5], bounds, 0.5)).toBe(4);
});

test("what answers took lately is the difference of two looks", () => {
  const look = (counts: number[]) =>
    ({ latencies: [{ method: "POST", route: "/x", counts }] }) as unknown as Server;
  expect(latelyOf([look([1, 2]), look([4, 4]), look([5, 9])], "/x")).toEqual([4, 7]);
  expect(latelyOf([look([5, 9])], "/x")).toEqual([0, 0]);
  expect(latelyOf([], "/x")).toEqual([]);
});
