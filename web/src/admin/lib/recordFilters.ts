// The filters of the pages of records, as they stand in the address, and in the words of the API.

import type { components } from "../../api/schema";
import { asked, type Filters } from "./filters";
import { startOfDay } from "./moments";

export const ORDER_FILTERS = ["q", "status", "sale", "from", "to"] as const;
export type OrderFilters = Filters<(typeof ORDER_FILTERS)[number]>;
export const ATTEMPT_FILTERS = ["code", "action"] as const;
export type AttemptFilters = Filters<(typeof ATTEMPT_FILTERS)[number]>;
export const LEDGER_FILTERS = ["kind", "who", "order", "seq"] as const;
export type LedgerFilters = Filters<(typeof LEDGER_FILTERS)[number]>;

/** The filters of the page in the words of the API. Days are those of the reader; the last one is meant whole. */
export function orderQuery(filters: OrderFilters) {
  const { q, status, sale } = asked(filters);
  const [begin, end] = [startOfDay(filters.from), startOfDay(filters.to, 1)];
  return {
    ...(q && { q }),
    ...(status && { status: status as components["schemas"]["OrderStatus"] }),
    ...(sale && { flashSaleId: sale }),
    ...(begin && { from: begin }),
    ...(end && { to: end }),
  };
}

/** The filters of the page in the words of the API: digits are a ticket, everything else is a buyer. */
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
