// Whether the buyer can extend a turn. Pure: it depends on the place that the server returned and on what this page has requested.

import type { Place } from "../../lib/api";

export type ExtensionState =
  | { kind: "none" }
  | { kind: "offered"; seconds: number }
  /** The buyer has used the extension of this turn. */
  | { kind: "used"; seconds: number };

/** `used` is the extension that this page has requested, and its ticket: another ticket is another turn, with its own extension. */
export function getExtensionState(
  place: Place,
  used: { ticket: number; seconds: number } | null,
): ExtensionState {
  if (place.status !== "admitted") return { kind: "none" };
  if (used?.ticket === place.ticket) return { kind: "used", seconds: used.seconds };
  const seconds = place.extensionSeconds ?? 0;
  return seconds > 0 ? { kind: "offered", seconds } : { kind: "none" };
}
