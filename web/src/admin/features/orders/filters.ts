// The filters of the orders, in the address and in the API.

import type { components } from "../../../api/schema";
import { startOfDay } from "../../lib/timestamps";
import { activeFilters, type Filters } from "../../lib/useFilters";

export const ORDER_FILTERS = ["q", "status", "sale", "from", "to"] as const;
export type OrderFilters = Filters<(typeof ORDER_FILTERS)[number]>;

/** Days are those of the reader's time zone; the last one is included. */
export function orderQuery(filters: OrderFilters) {
  const { q, status, sale } = activeFilters(filters);
  const [from, to] = [startOfDay(filters.from), startOfDay(filters.to, 1)];
  return {
    ...(q && { q }),
    ...(status && { status: status as components["schemas"]["OrderStatus"] }),
    ...(sale && { flashSaleId: sale }),
    ...(from && { from }),
    ...(to && { to }),
  };
}
