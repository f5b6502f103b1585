// How often the pages poll. A buyer near the front of the line, or near the start of a sale, needs each second; the others poll
// less often, because 100,000 buyers who poll each second would overload the server.

import type { Order, Place, Sale } from "./api";
import { isSaleOver } from "./saleStatus";

const SECOND = 1_000;
/** Drawn once per page: with a new value at each render, the interval would change each time and its timer would never fire. */
const CHANCE = Math.random();

export function salePollMs(sale: Sale | undefined, nowMs: number | null): number {
  if (sale === undefined || nowMs === null) return 5 * SECOND;
  if (isSaleOver(sale)) return 60 * SECOND;
  if (sale.status === "upcoming") {
    const leftMs = Date.parse(sale.startsAt) - nowMs;
    if (leftMs > 600 * SECOND) return 30 * SECOND;
    return leftMs > 20 * SECOND ? 5 * SECOND : SECOND;
  }
  return sale.availability === "sold_out" ? 10 * SECOND : 2 * SECOND;
}

/** With a feed the place is fetched when its turn comes; the polls are a safety net. */
export function placePollMs(place: Place | null | undefined, hasFeed = false): number {
  if (place === undefined) return 5 * SECOND;
  if (place === null) return 10 * SECOND;
  if (place.status === "admitted") return SECOND;
  if (place.status === "waiting" && hasFeed) return 30 * SECOND;
  // A place that has ended changes only when the buyer joins again, perhaps in another tab.
  if (place.status === "over") return 60 * SECOND;
  if (place.status !== "waiting") return 10 * SECOND;
  // The number ahead is exact, the wait is an estimate. The smaller of the two decides.
  const waitS = place.estimatedWaitSeconds ?? Number.POSITIVE_INFINITY;
  if (place.ahead < 50 || waitS < 20) return SECOND;
  if (place.ahead < 500 || waitS < 120) return 3 * SECOND;
  return place.ahead < 5_000 ? 8 * SECOND : 20 * SECOND;
}

export function orderPollMs(order: Order | undefined): number | false {
  if (order === undefined) return 5 * SECOND;
  if (order.status === "pending") return 2 * SECOND;
  return order.status === "confirmed" ? 30 * SECOND : false;
}

/** Adds up to 10 % in either direction, so that pages which opened at the same moment do not poll at the same moment. */
export function addJitter(ms: number, chance = CHANCE): number {
  return Math.round(ms * (0.9 + 0.2 * chance));
}
