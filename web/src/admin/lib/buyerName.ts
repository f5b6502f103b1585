// The name of a buyer inside a sentence.

import type { components } from "../../api/schema";
import { isolateText } from "../../lib/isolateText";

export type Buyer = components["schemas"]["Buyer"];

/** The e-mail address of a buyer, or the end of the id of a deleted account. */
export function buyerName(id: string, buyer: Buyer | undefined): string {
  return isolateText(buyer?.email ?? buyer?.username ?? `…${id.slice(-12)}`);
}
