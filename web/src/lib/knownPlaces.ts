// The sales in whose line this buyer has a place, as far as this browser knows. The API has no list of places, so each tab notes the
// sales whose line it saw the buyer in; pages that show something else ask for those places.

import type { QueryClient } from "@tanstack/react-query";
import type { Place } from "./api";
import { queryKeys } from "./queryKeys";
import { session } from "./session";
import { Store } from "./store";

interface KnownPlaces {
  userId: string;
  saleIds: readonly string[];
}

const STORED = "doorbuster.places";
/** More than a buyer can follow; the oldest are dropped. */
const PLACES_MAX = 10;

export const knownPlaces = new Store<KnownPlaces>(readStored());

globalThis.addEventListener?.("storage", (event) => {
  if (event.key === STORED) knownPlaces.set(readStored());
});

export function rememberPlace(saleId: string): void {
  change((saleIds) => (saleIds.includes(saleId) ? saleIds : [...saleIds, saleId].slice(-PLACES_MAX)));
}

export function forgetPlace(saleId: string): void {
  change((saleIds) => (saleIds.includes(saleId) ? saleIds.filter((id) => id !== saleId) : saleIds));
}

/** Keeps the list up to date with each place that a reply or a socket message brings. Returns a function that ends this. */
export function watchPlaces(queries: QueryClient): () => void {
  const kind = queryKeys.place("");
  return queries.getQueryCache().subscribe(({ type, query }) => {
    const [own, place, saleId] = query.queryKey;
    if (type !== "updated" || own !== kind[0] || place !== kind[1] || typeof saleId !== "string") return;
    const data = query.state.data as Place | null | undefined;
    if (data === undefined) return;
    if (data?.status === "waiting" || data?.status === "admitted") rememberPlace(saleId);
    else forgetPlace(saleId);
  });
}

function change(edit: (saleIds: readonly string[]) => readonly string[]): void {
  const now = session.get();
  if (now.status !== "in") return;
  const known = knownPlaces.get();
  const before = known.userId === now.user.id ? known.saleIds : [];
  const after = edit(before);
  if (after === before) return;
  knownPlaces.set({ userId: now.user.id, saleIds: after });
  try {
    localStorage.setItem(STORED, JSON.stringify(knownPlaces.get()));
  } catch {
    // Storage is forbidden: the list lasts until the page is closed.
  }
}

function readStored(): KnownPlaces {
  try {
    const stored = JSON.parse(localStorage.getItem(STORED) ?? "null") as KnownPlaces | null;
    if (stored !== null && Array.isArray(stored.saleIds)) return stored;
  } catch {
    // There is no storage, or something else wrote to it.
  }
  return { userId: "", saleIds: [] };
}
