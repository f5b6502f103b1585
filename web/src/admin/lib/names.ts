// Names as they stand in the middle of a sentence: whichever way a name is written, the sentence around it keeps its order.

import type { components } from "../../api/schema";

export type Person = components["schemas"]["Buyer"];

/** Between marks that isolate it, and without marks of its own that could undo them. */
export function isolate(text: string): string {
  return `\u2068${text.replace(/[\u202a-\u202e\u2066-\u2069]/g, "")}\u2069`;
}

/** Who it is, in a sentence: the address, or of an account that is gone the end of its id. */
export function nameOf(id: string, person: Person | undefined): string {
  return isolate(person?.email ?? person?.username ?? `…${id.slice(-12)}`);
}
