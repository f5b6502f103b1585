// What the pages of records know of the server: orders, the line, attempts and the ledger. Everything here is forgotten when
// somebody else signs in.

import { keepPreviousData, type QueryClient, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import type { components } from "../../api/schema";
import { client, type Order, unwrapReply } from "../../lib/api";
import { asked } from "./filters";
import {
  type AttemptFilters,
  type LedgerFilters,
  ledgerQuery,
  type OrderFilters,
  orderQuery,
} from "./recordFilters";

export type AdminOrder = components["schemas"]["AdminOrderJson"];
export type LedgerEvent = components["schemas"]["EventJson"];
export type Attempt = components["schemas"]["AttemptJson"];
export type Member = components["schemas"]["MemberJson"];

const PAGE = 50;
const orderKeys = ["own", "admin", "orders"] as const;

/** All pages that are shown are asked for again: the more there are, the less often. */
function pace(ms: number, pages: number | undefined): number {
  return ms * Math.max(1, pages ?? 1);
}

const next = (page: { nextCursor?: string | null }) => page.nextCursor ?? undefined;
const from = (cursor: string) => (cursor === "" ? {} : { cursor });

export function useAdminOrders(filters: OrderFilters) {
  const query = orderQuery(filters);
  return useInfiniteQuery({
    queryKey: [...orderKeys, query],
    initialPageParam: "",
    queryFn: ({ pageParam }) =>
      unwrapReply(
        client.GET("/api/v1/admin/orders", {
          params: { query: { ...query, limit: PAGE, ...from(pageParam) } },
        }),
      ),
    getNextPageParam: next,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => pace(5_000, state.data?.pages.length),
    refetchIntervalInBackground: false,
  });
}

interface Pages {
  pages: { items: AdminOrder[] }[];
}

/** Shows what a refund has told in every list at once; the lists are asked again behind it. */
export function rememberRefund(queries: QueryClient, order: Order): void {
  const refreshed = (old: AdminOrder) =>
    old.id === order.id ? { ...old, status: order.status, updatedAt: order.updatedAt } : old;
  queries.setQueriesData<Pages>({ queryKey: orderKeys }, (data) =>
    data?.pages
      ? { ...data, pages: data.pages.map((page) => ({ ...page, items: page.items.map(refreshed) })) }
      : data,
  );
  void queries.invalidateQueries({ queryKey: orderKeys });
}

/** Sales to choose from, newest first; more than a few hundred nobody looks for in a list. */
export function useSaleChoices() {
  return useQuery({
    queryKey: ["own", "admin", "sale-choices"],
    queryFn: () =>
      unwrapReply(
        client.GET("/api/v1/flash-sales", { params: { query: { limit: 200 } }, cache: "no-store" }),
      ),
    staleTime: 30_000,
  });
}

export function useLine(id: string, buyer: string) {
  return useInfiniteQuery({
    queryKey: ["own", "admin", "line", id, buyer],
    initialPageParam: "",
    queryFn: ({ pageParam }) =>
      unwrapReply(
        client.GET("/api/v1/admin/flash-sales/{id}/queue", {
          params: { path: { id }, query: { limit: PAGE, ...(buyer && { buyer }), ...from(pageParam) } },
        }),
      ),
    getNextPageParam: next,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => pace(3_000, state.data?.pages.length),
    refetchIntervalInBackground: false,
  });
}

export function useAttempts(id: string, filters: AttemptFilters) {
  const query = asked(filters);
  return useInfiniteQuery({
    queryKey: ["own", "admin", "attempts", id, query],
    initialPageParam: "",
    queryFn: ({ pageParam }) =>
      unwrapReply(
        client.GET("/api/v1/admin/flash-sales/{id}/attempts", {
          params: { path: { id }, query: { ...query, limit: PAGE, ...from(pageParam) } },
        }),
      ),
    getNextPageParam: next,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => pace(5_000, state.data?.pages.length),
    refetchIntervalInBackground: false,
  });
}

/** `isLive`: events may still come, and the page shows the end at which they do. */
export function useLedger(id: string, filters: LedgerFilters, isLive: boolean) {
  const query = ledgerQuery(filters);
  return useInfiniteQuery({
    queryKey: ["own", "admin", "ledger", id, query],
    initialPageParam: "",
    queryFn: ({ pageParam }) =>
      unwrapReply(
        client.GET("/api/v1/admin/flash-sales/{id}/events", {
          params: { path: { id }, query: { ...query, limit: PAGE, ...from(pageParam) } },
        }),
      ),
    getNextPageParam: next,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => isLive && pace(2_000, state.data?.pages.length),
    refetchIntervalInBackground: false,
  });
}

export function checkReceipt(id: string, buyer: string, receipt: string) {
  return unwrapReply(
    client.GET("/api/v1/admin/flash-sales/{id}/receipt", {
      params: { path: { id }, query: { buyer, receipt } },
    }),
  );
}
