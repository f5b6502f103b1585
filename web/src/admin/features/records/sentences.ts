// Each event of the ledger as a sentence. Pure: the same event is the same sentence, with names and moments filled in by
// whoever shows it.

import type { LedgerEvent } from "../../lib/recordQueries";
import type { AdminKey } from "../../lib/texts";

export type Kind = LedgerEvent["kind"];

export interface Sentence {
  key: AdminKey;
  values: Record<string, string | number>;
}

export interface Words {
  /** The buyer of the event, for the middle of a sentence. */
  who: string;
  /** A moment beside that of the event. */
  time: (iso: string) => string;
  money: (price: NonNullable<LedgerEvent["price"]>) => string;
}

/** A kind without a sentence does not compile. */
const SENTENCES: Record<Kind, (event: LedgerEvent, words: Words) => Sentence> = {
  configured: (event, { time, money }) => ({
    key: event.seq === 1 ? "ledger.said.announced" : "ledger.said.changed",
    values: {
      count: event.quantity ?? 0,
      price: event.price ? money(event.price) : "",
      start: event.startsAt ? time(event.startsAt) : "",
      end: event.endsAt ? time(event.endsAt) : "",
    },
  }),
  paused: () => ({ key: "ledger.said.paused", values: {} }),
  resumed: () => ({ key: "ledger.said.resumed", values: {} }),
  closed: () => ({ key: "ledger.said.closed", values: {} }),
  restocked: (event) => ({ key: "ledger.said.restocked", values: { count: event.quantity ?? 0 } }),
  joined: (event, words) => ({ key: "ledger.said.joined", values: ticket(event, words) }),
  left: (event, words) => ({
    key: event.admitted ? "ledger.said.left_admitted" : "ledger.said.left",
    values: ticket(event, words),
  }),
  admitted: (event, words) => ({
    key: "ledger.said.admitted",
    values: { ...ticket(event, words), time: until(event, words) },
  }),
  lapsed: (event, words) => ({ key: "ledger.said.lapsed", values: ticket(event, words) }),
  held: (event, words) => ({
    key: event.from === "admission" ? "ledger.said.held_admission" : "ledger.said.held",
    values: { ...units(event, words), ticket: event.ticket ?? 0, time: until(event, words) },
  }),
  confirmed: (event, words) => ({
    key: event.from === "hold" ? "ledger.said.confirmed" : "ledger.said.sold_at_once",
    values: units(event, words),
  }),
  released: (event, words) => ({
    key: RELEASES[event.reason ?? "expired"] ?? "ledger.said.expired",
    values: units(event, words),
  }),
  refunded: (event, words) => ({
    key: event.restocked ? "ledger.said.refunded_restocked" : "ledger.said.refunded",
    values: units(event, words),
  }),
  extended: (event, words) => ({
    key: "ledger.said.extended",
    values: { ...ticket(event, words), time: until(event, words) },
  }),
};

const RELEASES: Record<string, AdminKey> = {
  cancelled: "ledger.said.cancelled",
  declined: "ledger.said.declined",
  expired: "ledger.said.expired",
};

export const KINDS = Object.keys(SENTENCES) as Kind[];

export function sentence(event: LedgerEvent, words: Words): Sentence {
  // A newer server may know kinds that this page does not.
  const say = (SENTENCES as Partial<typeof SENTENCES>)[event.kind];
  return say ? say(event, words) : { key: "ledger.said.unknown", values: { kind: event.kind } };
}

function ticket(event: LedgerEvent, { who }: Words) {
  return { who, ticket: event.ticket ?? 0 };
}

function units(event: LedgerEvent, { who }: Words) {
  return { who, count: event.quantity ?? 0 };
}

function until(event: LedgerEvent, { time }: Words): string {
  return event.until ? time(event.until) : "";
}
