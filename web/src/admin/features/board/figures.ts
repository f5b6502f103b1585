// From what the server tells to what is shown: gaps filled, rates, shares, percentiles. Pure.

import type { Bucket, Counts, Series, Server, Units } from "../../lib/boardQueries";

/** One piece of time as a chart has it: every piece is there, and knows how things stood after it. */
export interface Piece extends Counts {
  atMs: number;
  refused: number;
  units: Units;
}

const NONE: Counts = {
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

/** All pieces of a series, also those in which nothing happened: then things stand as before. */
export function pieces(series: Series): Piece[] {
  const stepMs = series.stepSeconds * 1000;
  const told = new Map(series.buckets.map((bucket: Bucket) => [Date.parse(bucket.at), bucket]));
  // Where nothing was known before, the first that is known will do: no unit is drawn as missing.
  let units = series.before ?? series.buckets.find((bucket) => bucket.units)?.units ?? NO_UNITS;
  const all: Piece[] = [];
  for (let atMs = Date.parse(series.from); atMs < Date.parse(series.to); atMs += stepMs) {
    const bucket = told.get(atMs);
    units = bucket?.units ?? units;
    all.push({ ...NONE, refused: 0, ...bucket, atMs, units });
  }
  return all;
}

/** Puts `group` pieces together into one, so that a table is no longer than a person reads. */
export function merged(all: readonly Piece[], group: number): Piece[] {
  const out: Piece[] = [];
  for (let at = 0; at < all.length; at += group) {
    const part = all.slice(at, at + group);
    const first = part[0] as Piece;
    const last = part.at(-1) as Piece;
    const sum = (of: keyof Counts | "refused") => part.reduce((total, piece) => total + piece[of], 0);
    const counts = Object.fromEntries(
      (Object.keys(NONE) as (keyof Counts)[]).map((key) => [key, sum(key)]),
    ) as unknown as Counts;
    out.push({ ...counts, refused: sum("refused"), atMs: first.atMs, units: last.units });
  }
  return out;
}

/** How often a second something happened lately: over the last `pieceCount` pieces that are complete. */
export function rate(series: Series, of: keyof Counts | "refused", pieceCount: number): number {
  const stepMs = series.stepSeconds * 1000;
  const until = Date.parse(series.completeUntil);
  const complete = pieces(series).filter((piece) => piece.atMs + stepMs <= until);
  const last = complete.slice(-pieceCount);
  if (last.length === 0) return 0;
  return last.reduce((total, piece) => total + piece[of], 0) / (last.length * series.stepSeconds);
}

/** Whole percent that never say "all" or "none" where it is not so. */
export function percent(part: number, whole: number): number {
  if (whole <= 0) return 0;
  const exact = (part / whole) * 100;
  if (part > 0 && exact < 1) return 1;
  if (part < whole && exact > 99) return 99;
  return Math.round(exact);
}

/**
 * What `share` of the answers did not exceed, in milliseconds, by counts between bounds: a straight line within each.
 * `null` when there was none; the last bound when it is beyond all bounds.
 */
export function percentileMs(
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

/** What a route's answers took between the first and the last look. */
export function latelyOf(looks: readonly Server[], route: string): number[] {
  const of = (look: Server | undefined) => look?.latencies.find((one) => one.route === route)?.counts ?? [];
  const before = of(looks[0]);
  return of(looks.at(-1)).map((count, slot) => count - (before[slot] ?? 0));
}

/** The sum of the orders in one status; none when there are none. */
export function inStatus<T extends { status: string }>(sums: readonly T[], status: string): T | undefined {
  return sums.find((sum) => sum.status === status);
}
