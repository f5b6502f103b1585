// Two ways lead from the server to a page: asking, and being told. What comes late by one must not undo what came by the other.

import type { QueryKey } from "@tanstack/react-query";
import type { Place, Sale } from "../api";

type Moment = Pick<Sale, "version" | "serverTime">;

/** Whether a word about a sale is older than what is known. Time alone can change a status, so the version is not all. */
export function isOlder(said: Moment, known: Moment): boolean {
  if (said.version !== known.version) return said.version < known.version;
  return Date.parse(said.serverTime) < Date.parse(known.serverTime);
}

export function newerSale(known: Sale | undefined, said: Sale): Sale {
  return known !== undefined && known.id === said.id && isOlder(said, known) ? known : said;
}

/** What holds of a place: with one ticket nobody moves back, and a lower ticket is one that was given up. */
export function newerPlace(known: Place | null | undefined, said: Place | null): Place | null {
  if (!known || said === null || said.ticket > known.ticket) return said;
  if (said.ticket < known.ticket) return known;
  if (said.status === "admitted") return said;
  if (known.status === "admitted") return known;
  return said.position > known.position ? { ...said, position: known.position, ahead: known.ahead } : said;
}

/** After so many tries a reply is taken as it is; the next asking puts it right. */
const TRIES = 3;
const turns = new Map<string, number>();

/** Marks that something has turned: what was asked before and is answered after may be from before the turn. */
export function turned(key: QueryKey): void {
  const name = JSON.stringify(key);
  turns.set(name, (turns.get(name) ?? 0) + 1);
}

/** Asks, and asks again when a turn was told while the answer was on its way. */
export async function askFresh<T>(key: QueryKey, act: () => Promise<T>): Promise<T> {
  const name = JSON.stringify(key);
  for (let tries = 1; ; tries++) {
    const before = turns.get(name);
    const reply = await act();
    if (turns.get(name) === before || tries >= TRIES) return reply;
  }
}
