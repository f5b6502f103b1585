// Replies and socket messages reach the page on two ways and may overtake each other. These functions keep the newer state.

import type { QueryKey } from "@tanstack/react-query";
import type { Place, Sale } from "../api";

type SaleVersion = Pick<Sale, "version" | "serverTime">;

/** The version alone does not decide: a status can change by time, without an event. */
export function isOlder(received: SaleVersion, cached: SaleVersion): boolean {
  if (received.version !== cached.version) return received.version < cached.version;
  return Date.parse(received.serverTime) < Date.parse(cached.serverTime);
}

export function pickNewerSale(cached: Sale | undefined, received: Sale): Sale {
  return cached !== undefined && cached.id === received.id && isOlder(received, cached) ? cached : received;
}

/** With one ticket a buyer never moves back. A lower ticket is one that the buyer has given up. */
export function mergePlace(cached: Place | null | undefined, received: Place | null): Place | null {
  if (!cached || received === null || received.ticket > cached.ticket) return received;
  if (received.ticket < cached.ticket) return cached;
  if (isEnded(received) || received.status === "admitted") return received;
  if (isEnded(cached) || cached.status === "admitted") return cached;
  const isBehind = received.position > cached.position;
  return isBehind ? { ...received, position: cached.position, ahead: cached.ahead } : received;
}

/** A place that has ended stays ended; another one has another ticket. */
function isEnded({ status }: Place): boolean {
  return status !== "waiting" && status !== "admitted";
}

/** After this many tries a reply is used as it is; the next poll corrects it. */
const TRIES_MAX = 3;
const changes = new Map<string, number>();

/** Records that a message has changed this state: a reply to an earlier request may be outdated. */
export function markChanged(key: QueryKey): void {
  const name = JSON.stringify(key);
  changes.set(name, (changes.get(name) ?? 0) + 1);
}

/** Sends a request, and sends it again when `markChanged` ran before the reply came. */
export async function fetchFresh<T>(key: QueryKey, send: () => Promise<T>): Promise<T> {
  const name = JSON.stringify(key);
  for (let tries = 1; ; tries++) {
    const before = changes.get(name);
    const reply = await send();
    if (changes.get(name) === before || tries >= TRIES_MAX) return reply;
  }
}
