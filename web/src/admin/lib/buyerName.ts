// Names inside a sentence. Whatever the direction of a name's script, the order of the sentence does not change.

import type { components } from "../../api/schema";

export type Buyer = components["schemas"]["Buyer"];

/** Wraps text in Unicode isolation marks, and removes its own direction marks, which could end the isolation. */
export function isolateText(text: string): string {
  return `\u2068${text.replace(/[\u202a-\u202e\u2066-\u2069]/g, "")}\u2069`;
}

/** The e-mail address of a buyer, or the end of the id of a deleted account. */
export function buyerName(id: string, buyer: Buyer | undefined): string {
  return isolateText(buyer?.email ?? buyer?.username ?? `…${id.slice(-12)}`);
}
