// The orders of all buyers, and the sales to filter them by.

import { type QueryClient, useQuery } from "@tanstack/react-query";
import { type AdminOrder, client, type Order, unwrapReply } from "../../../lib/api";
import { adminKeys } from "../../lib/adminCache";
import { useRecordPages } from "../../lib/useRecordPages";
import { type OrderFilters, orderQuery } from "./filters";

export type { AdminOrder } from "../../../lib/api";

/** The sale filter offers the newest sales only: a longer list is of no use. */
const SALE_OPTIONS_MAX = 200;

export function useAdminOrders(filters: OrderFilters) {
  const query = orderQuery(filters);
  return useRecordPages({
    queryKey: [...adminKeys.orders, query],
    fetchPage: (page) =>
      unwrapReply(client.GET("/api/v1/admin/orders", { params: { query: { ...query, ...page } } })),
    pollMs: 5_000,
  });
}

interface OrderPages {
  pages: { items: AdminOrder[] }[];
}

/** Shows a refund in every list at once, and fetches the lists again. */
export function cacheRefund(queries: QueryClient, order: Order): void {
  const patchOrder = (old: AdminOrder) =>
    old.id === order.id ? { ...old, status: order.status, updatedAt: order.updatedAt } : old;
  queries.setQueriesData<OrderPages>({ queryKey: adminKeys.orders }, (data) =>
    data?.pages
      ? { ...data, pages: data.pages.map((page) => ({ ...page, items: page.items.map(patchOrder) })) }
      : data,
  );
  void queries.invalidateQueries({ queryKey: adminKeys.orders });
}

export function useSaleOptions() {
  return useQuery({
    queryKey: [...adminKeys.sales, "options"],
    queryFn: () => {
      const query = { limit: SALE_OPTIONS_MAX };
      return unwrapReply(client.GET("/api/v1/flash-sales", { params: { query }, cache: "no-store" }));
    },
    staleTime: 30_000,
  });
}
