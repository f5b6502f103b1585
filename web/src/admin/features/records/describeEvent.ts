// One sentence for each event of the ledger. Pure: the caller formats names, moments and prices.

import type { AdminTextKey } from "../../lib/texts";
import type { LedgerEvent } from "./queries";

export type EventKind = LedgerEvent["kind"];

interface EventSentence {
  key: AdminTextKey;
  values: Record<string, string | number>;
}

interface EventFormats {
  /** The name of the event's buyer. */
  who: string;
  /** Formats a moment that the sentence shows beside the time of the event. */
  time: (iso: string) => string;
  money: (price: NonNullable<LedgerEvent["price"]>) => string;
}

/** The type makes a kind without a sentence a compile error. */
const SENTENCES: Record<EventKind, (event: LedgerEvent, formats: EventFormats) => EventSentence> = {
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
  joined: (event, formats) => ({ key: "ledger.said.joined", values: ticketValues(event, formats) }),
  left: (event, formats) => ({
    key: event.admitted ? "ledger.said.left_admitted" : "ledger.said.left",
    values: ticketValues(event, formats),
  }),
  admitted: (event, formats) => ({
    key: "ledger.said.admitted",
    values: { ...ticketValues(event, formats), time: untilTime(event, formats) },
  }),
  lapsed: (event, formats) => ({ key: "ledger.said.lapsed", values: ticketValues(event, formats) }),
  held: (event, formats) => ({
    key: event.from === "admission" ? "ledger.said.held_admission" : "ledger.said.held",
    values: { ...unitValues(event, formats), ticket: event.ticket ?? 0, time: untilTime(event, formats) },
  }),
  confirmed: (event, formats) => ({
    key: event.from === "hold" ? "ledger.said.confirmed" : "ledger.said.sold_at_once",
    values: unitValues(event, formats),
  }),
  released: (event, formats) => ({
    key: RELEASES[event.reason ?? "expired"] ?? "ledger.said.expired",
    values: unitValues(event, formats),
  }),
  refunded: (event, formats) => ({
    key: event.restocked ? "ledger.said.refunded_restocked" : "ledger.said.refunded",
    values: unitValues(event, formats),
  }),
  extended: (event, formats) => ({
    key: "ledger.said.extended",
    values: { ...ticketValues(event, formats), time: untilTime(event, formats) },
  }),
  payment_begun: (event, formats) => ({
    key: "ledger.said.payment_begun",
    values: { ...unitValues(event, formats), time: untilTime(event, formats) },
  }),
  payment_ended: (event, formats) => ({
    key: "ledger.said.payment_ended",
    values: unitValues(event, formats),
  }),
};

const RELEASES: Record<string, AdminTextKey> = {
  cancelled: "ledger.said.cancelled",
  declined: "ledger.said.declined",
  expired: "ledger.said.expired",
};

export const EVENT_KINDS = Object.keys(SENTENCES) as EventKind[];

export function describeEvent(event: LedgerEvent, formats: EventFormats): EventSentence {
  // A newer server may send kinds that this page does not have.
  const describe = (SENTENCES as Partial<typeof SENTENCES>)[event.kind];
  return describe ? describe(event, formats) : { key: "ledger.said.unknown", values: { kind: event.kind } };
}

function ticketValues(event: LedgerEvent, { who }: EventFormats) {
  return { who, ticket: event.ticket ?? 0 };
}

function unitValues(event: LedgerEvent, { who }: EventFormats) {
  return { who, count: event.quantity ?? 0 };
}

function untilTime(event: LedgerEvent, { time }: EventFormats): string {
  return event.until ? time(event.until) : "";
}
