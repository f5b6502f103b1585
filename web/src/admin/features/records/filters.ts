// The filters of the attempts and the ledger, in the address and in the API.

import type { components } from "../../../api/schema";
import type { Filters } from "../../lib/useFilters";

export const ATTEMPT_FILTERS = ["code", "action"] as const;
export type AttemptFilters = Filters<(typeof ATTEMPT_FILTERS)[number]>;
export const LEDGER_FILTERS = ["kind", "who", "order", "seq"] as const;
export type LedgerFilters = Filters<(typeof LEDGER_FILTERS)[number]>;

/** Digits in the field for a buyer mean a ticket. */
export function ledgerQuery({ kind, who, order, seq }: LedgerFilters) {
  const isTicket = /^\d{1,10}$/.test(who);
  return {
    order: order === "asc" ? ("asc" as const) : ("desc" as const),
    ...(kind && { kind: kind as components["schemas"]["EventKind"] }),
    ...(isTicket && { ticket: Math.min(Number(who), 0xffff_ffff) }),
    ...(who && !isTicket && { buyer: who }),
    ...(/^\d{1,15}$/.test(seq) && { from: Number(seq) }),
  };
}
