// The orders of all buyers.

import { type QueryClient, useQuery } from "@tanstack/react-query";
import { type AdminOrder, client, type Order, unwrapReply } from "../../../lib/api";
import { adminKeys } from "../../lib/adminCache";
import { useRecordPages } from "../../lib/useRecordPages";
import { type OrderFilters, orderQuery } from "./filters";

export type { AdminOrder } from "../../../lib/api";

export function useAdminOrders(filters: OrderFilters) {
  const query = orderQuery(filters);
  return useRecordPages({
    queryKey: [...adminKeys.orders, query],
    fetchPage: (page) =>
      unwrapReply(client.GET("/api/v1/admin/orders", { params: { query: { ...query, ...page } } })),
    pollMs: 5_000,
  });
}

/** Below the key of the orders, so that a refund fetches them again, too. */
export function useOrderPayments(orderId: string) {
  return useQuery({
    queryKey: [...adminKeys.orders, "payments", orderId],
    queryFn: () => {
      const params = { path: { id: orderId } };
      return unwrapReply(client.GET("/api/v1/admin/orders/{id}/payments", { params }));
    },
    // A panel that has never loaded offers another try instead of hiding its error every few seconds.
    refetchInterval: ({ state }) => (state.data === undefined ? false : 5_000),
    refetchIntervalInBackground: false,
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
