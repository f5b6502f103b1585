// Whether a turn can be made longer. Pure: what the server said of the place, and what this page asked for before.

import type { Place } from "./api";

export type MoreTime =
  /** Nothing to offer, and nothing to say. */
  | { kind: "none" }
  /** The buyer may add so many seconds. */
  | { kind: "offered"; seconds: number }
  /** The buyer has just added them. */
  | { kind: "given"; seconds: number };

/** `given` is what was added on this page, and to which ticket: a later turn is another one, with a right of its own. */
export function moreTime(place: Place, given: { ticket: number; seconds: number } | null): MoreTime {
  if (place.status !== "admitted") return { kind: "none" };
  if (given?.ticket === place.ticket) return { kind: "given", seconds: given.seconds };
  const seconds = place.extensionSeconds ?? 0;
  return seconds > 0 ? { kind: "offered", seconds } : { kind: "none" };
}
