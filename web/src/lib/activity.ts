// What a buyer has under way: turns, held units, payments and places in line. Every page shows it, so that no turn is missed. Pure.

import type { Order, Place } from "./api";

export type TurnEnd =
  | { kind: "running"; untilMs: number }
  /** The sale is paused, and the turn's time stands still. */
  | { kind: "frozen"; leftMs: number }
  | { kind: "unknown" };

export type Activity =
  | { kind: "admitted"; saleId: string; place: Place; end: TurnEnd }
  | { kind: "held"; saleId: string; order: Order; untilMs: number | null }
  | { kind: "paying"; saleId: string; order: Order }
  | { kind: "waiting"; saleId: string; place: Place };

export function turnEnd(place: Place): TurnEnd {
  if (place.admittedUntil) return { kind: "running", untilMs: Date.parse(place.admittedUntil) };
  const seconds = place.remainingSeconds ?? null;
  return seconds === null ? { kind: "unknown" } : { kind: "frozen", leftMs: seconds * 1000 };
}

/** The most urgent first: turns and held units by their end, then payments, then places by their position. */
export function listActivities(places: readonly Place[], orders: readonly Order[]): Activity[] {
  const activities = [
    ...places.flatMap(placeActivity),
    ...orders.filter((order) => order.status === "pending").map(orderActivity),
  ];
  return activities.sort((a, b) => urgency(a) - urgency(b));
}

function placeActivity(place: Place): Activity[] {
  const saleId = place.flashSaleId;
  if (place.status === "admitted") return [{ kind: "admitted", saleId, place, end: turnEnd(place) }];
  return place.status === "waiting" ? [{ kind: "waiting", saleId, place }] : [];
}

function orderActivity(order: Order): Activity {
  const saleId = order.flashSaleId;
  if (order.paying) return { kind: "paying", saleId, order };
  return { kind: "held", saleId, order, untilMs: order.expiresAt ? Date.parse(order.expiresAt) : null };
}

/** Moments come before payments, and payments before positions. */
const PAYING = Number.MAX_SAFE_INTEGER - 1_000_000_000_000;

function urgency(activity: Activity): number {
  if (activity.kind === "waiting") return PAYING + 1 + activity.place.position;
  if (activity.kind === "paying") return PAYING;
  return endMs(activity) ?? 0;
}

/** When the activity ends by itself; `null` when it does not, or while its time stands still. */
export function endMs(activity: Activity): number | null {
  if (activity.kind === "held") return activity.untilMs;
  return activity.kind === "admitted" && activity.end.kind === "running" ? activity.end.untilMs : null;
}

/** The same while the same thing is under way, whatever its position or its time. */
export function activityKey(activity: Activity): string {
  const id = "order" in activity ? activity.order.id : `${activity.saleId}:${activity.place.ticket}`;
  return `${activity.kind}:${id}`;
}

/** A buyer who waits for hours need not keep the screen on for all of them. */
const SOON_S = 1_800;

/** Whether a turn is on, or may come soon. */
export function isTurnNear(activity: Activity): boolean {
  if (activity.kind === "admitted") return true;
  return activity.kind === "waiting" && (activity.place.estimatedWaitSeconds ?? 0) <= SOON_S;
}
