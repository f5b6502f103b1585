// How often to ask. Near the front and near the start each second counts; far back it does not, and a hundred thousand
// buyers who ask each second would be a load of their own.

import type { Order, Place, Sale } from "./api";

const SECOND = 1_000;

export function salePace(sale: Sale | undefined, nowMs: number): number {
  if (sale === undefined) return 5 * SECOND;
  if (sale.status === "ended" || sale.status === "closed") return 60 * SECOND;
  if (sale.status === "upcoming") {
    const leftMs = Date.parse(sale.startsAt) - nowMs;
    if (leftMs > 600 * SECOND) return 30 * SECOND;
    return leftMs > 20 * SECOND ? 5 * SECOND : SECOND;
  }
  return sale.availability === "sold_out" ? 10 * SECOND : 2 * SECOND;
}

export function placePace(place: Place | null | undefined): number {
  if (place === undefined) return 5 * SECOND;
  if (place === null) return 10 * SECOND;
  if (place.status === "admitted") return SECOND;
  // The estimate is of the pace; the number ahead is exact. Whichever says "soon" counts.
  if (place.ahead < 50 || place.estimatedWaitSeconds < 20) return SECOND;
  if (place.ahead < 500 || place.estimatedWaitSeconds < 120) return 3 * SECOND;
  return place.ahead < 5_000 ? 8 * SECOND : 20 * SECOND;
}

export function orderPace(order: Order | undefined): number | false {
  if (order === undefined) return 5 * SECOND;
  if (order.status === "pending") return 2 * SECOND;
  return order.status === "confirmed" ? 30 * SECOND : false;
}

/** Spreads those who opened the page at the same moment. */
export function spread(ms: number, chance: number): number {
  return Math.round(ms * (0.9 + 0.2 * chance));
}
