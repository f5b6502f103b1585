// Derives what the charts show from the server's series: complete steps, rates and percentiles. Pure.

import type { Bucket, Counts, Series, ServerReport, Units } from "./queries";

/** One step of a chart: the events in it, and the units after it. */
export interface TimeStep extends Counts {
  atMs: number;
  refused: number;
  units: Units;
}

export const NO_COUNTS: Counts = {
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
const NO_UNITS: Units = { available: 0, admitted: 0, held: 0, sold: 0, waiting: 0 };

/** All steps of a series. The server omits steps without events; in these the units stay as they were. */
export function expandSeries(series: Series): TimeStep[] {
  const stepMs = series.stepSeconds * 1000;
  const buckets = new Map(series.buckets.map((bucket: Bucket) => [Date.parse(bucket.at), bucket]));
  // Without a state before the series, its first state applies, so that no units appear to be missing.
  let units = series.before ?? series.buckets.find((bucket) => bucket.units)?.units ?? NO_UNITS;
  const all: TimeStep[] = [];
  for (let atMs = Date.parse(series.from); atMs < Date.parse(series.to); atMs += stepMs) {
    const bucket = buckets.get(atMs);
    units = bucket?.units ?? units;
    all.push({ ...NO_COUNTS, refused: 0, ...bucket, atMs, units });
  }
  return all;
}

/** Combines each `group` steps into one, to shorten a table. */
export function mergeSteps(all: readonly TimeStep[], group: number): TimeStep[] {
  const merged: TimeStep[] = [];
  for (let at = 0; at < all.length; at += group) {
    const part = all.slice(at, at + group);
    const first = part[0] as TimeStep;
    const last = part.at(-1) as TimeStep;
    const sum = (key: keyof Counts | "refused") => part.reduce((total, step) => total + step[key], 0);
    const counts = Object.fromEntries(
      (Object.keys(NO_COUNTS) as (keyof Counts)[]).map((key) => [key, sum(key)]),
    ) as unknown as Counts;
    merged.push({ ...counts, refused: sum("refused"), atMs: first.atMs, units: last.units });
  }
  return merged;
}

/** Events per second in the last `stepCount` complete steps. */
export function recentRate(series: Series, key: keyof Counts | "refused", stepCount: number): number {
  const stepMs = series.stepSeconds * 1000;
  const until = Date.parse(series.completeUntil);
  const complete = expandSeries(series).filter((step) => step.atMs + stepMs <= until);
  const last = complete.slice(-stepCount);
  if (last.length === 0) return 0;
  return last.reduce((total, step) => total + step[key], 0) / (last.length * series.stepSeconds);
}

/**
 * Estimates a percentile of latencies from a histogram, in milliseconds, by linear interpolation within a bucket. `null` without
 * replies; the last bound when the percentile is above it.
 */
export function estimatePercentileMs(
  counts: readonly number[],
  boundsS: readonly number[],
  share: number,
): number | null {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all <= 0) return null;
  const wanted = all * share;
  let below = 0;
  for (const [slot, count] of counts.entries()) {
    const upper = boundsS[slot];
    if (upper === undefined) break;
    if (count > 0 && below + count >= wanted) {
      const lower = boundsS[slot - 1] ?? 0;
      return (lower + ((upper - lower) * (wanted - below)) / count) * 1000;
    }
    below += count;
  }
  return (boundsS.at(-1) ?? 0) * 1000;
}

/** The histogram of a route's latencies between the first and the last report. */
export function recentCounts(reports: readonly ServerReport[], route: string): number[] {
  const countsOf = (report: ServerReport | undefined) =>
    report?.latencies.find((one) => one.route === route)?.counts ?? [];
  const before = countsOf(reports[0]);
  return countsOf(reports.at(-1)).map((count, slot) => count - (before[slot] ?? 0));
}
