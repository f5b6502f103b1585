import { expect, test } from "vitest";
import { wholePercent } from "./formatShare";
import type { Series, ServerReport } from "./queries";
import {
  estimatePercentileMs,
  expandSeries,
  mergeSteps,
  NO_COUNTS,
  recentCounts,
  recentRate,
} from "./series";

const at = (second: number) => new Date(1_800_000_000_000 + second * 1000).toISOString();
const units = (sold: number) => ({ available: 10 - sold, admitted: 0, held: 0, sold, waiting: 0 });

const series: Series = {
  from: at(0),
  to: at(50),
  stepSeconds: 5,
  before: units(1),
  buckets: [
    { ...NO_COUNTS, at: at(10), ordered: 20, confirmed: 2, refused: 0, units: units(3) },
    { ...NO_COUNTS, at: at(25), refused: 7, units: null },
    { ...NO_COUNTS, at: at(40), ordered: 5, refused: 0, units: units(4) },
  ],
  completeUntil: at(46),
  projectedVersion: 9,
  projectionLag: 0,
  serverTime: at(46),
};

test("in steps without events the units stay as they were", () => {
  const all = expandSeries(series);
  expect(all.length).toBe(10);
  expect(all.map((step) => step.units.sold)).toEqual([1, 1, 3, 3, 3, 3, 3, 3, 4, 4]);
  expect(all[5]).toMatchObject({ refused: 7, ordered: 0 });
  expect(expandSeries({ ...series, before: null })[0]?.units.sold).toBe(3);
});

test("merged steps have the sum of their events and the last units", () => {
  const three = mergeSteps(expandSeries(series), 3);
  expect(three.map((step) => step.ordered)).toEqual([20, 0, 5, 0]);
  expect(three.map((step) => step.units.sold)).toEqual([3, 3, 4, 4]);
  expect(three.reduce((sum, step) => sum + step.refused, 0)).toBe(7);
});

test("a rate counts complete steps only", () => {
  expect(recentRate(series, "ordered", 1)).toBe(1);
  expect(recentRate(series, "ordered", 2)).toBe(0.5);
  expect(recentRate({ ...series, completeUntil: at(15) }, "ordered", 2)).toBe(2);
  expect(recentRate({ ...series, completeUntil: at(0) }, "ordered", 2)).toBe(0);
});

test("a share is 0 or 100 percent only if it is exact", () => {
  expect([wholePercent(0, 9), wholePercent(9, 9), wholePercent(1, 3), wholePercent(1, 0)]).toEqual([
    0, 100, 33, 0,
  ]);
  expect([wholePercent(1, 10_000), wholePercent(9_999, 10_000)]).toEqual([1, 99]);
});

test("a percentile lies within its bucket, and without replies there is none", () => {
  const bounds = [0.001, 0.002, 0.004];
  expect(estimatePercentileMs([0, 0, 0, 0], bounds, 0.5)).toBe(null);
  expect(estimatePercentileMs([0, 10, 0, 0], bounds, 0.5)).toBeCloseTo(1.5);
  expect(estimatePercentileMs([98, 0, 2, 0], bounds, 0.99)).toBeCloseTo(3);
  expect(estimatePercentileMs([0, 0, 0, 5], bounds, 0.5)).toBe(4);
});

test("recent latencies are the difference of two reports", () => {
  const report = (counts: number[]) =>
    ({ latencies: [{ method: "POST", route: "/x", counts }] }) as unknown as ServerReport;
  expect(recentCounts([report([1, 2]), report([4, 4]), report([5, 9])], "/x")).toEqual([4, 7]);
  expect(recentCounts([report([5, 9])], "/x")).toEqual([0, 0]);
  expect(recentCounts([], "/x")).toEqual([]);
});
