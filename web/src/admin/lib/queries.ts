// What the merchant's pages know of sales and products. All of it is under `own`, which is forgotten when somebody else signs in.

import { type QueryClient, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import type { components } from "../../api/schema";
import { client, type Sale, unwrapReply } from "../../lib/api";
import { syncClock } from "../../lib/clock";
import { ApiError } from "../../lib/errors";

export type AdminSale = components["schemas"]["AdminSaleJson"];
export type Product = components["schemas"]["ProductJson"];

/** Live enough to see a sale move; the board of one sale is faster. */
const LIST_PACE_MS = 4_000;
/** The most that the server gives at once. */
const PAGE_LEN_MAX = 200;
/** A choice among more products than these pages hold is none. */
const CHOICE_PAGES_MAX = 10;

export const adminKeys = {
  sales: ["own", "admin", "sales"] as const,
  sale: (id: string) => ["own", "admin", "sale", id] as const,
  products: ["own", "admin", "products"] as const,
  product: (id: string) => ["own", "admin", "product", id] as const,
};

/** After something was done to sales or products: everything that shows them asks again, the shop's pages too. */
export function refreshSales(queries: QueryClient): Promise<unknown> {
  const stale = [["own", "admin"], ["sale"], ["sales"]];
  return Promise.all(stale.map((queryKey) => queries.invalidateQueries({ queryKey })));
}

async function fetchSales(query: { status?: Sale["status"]; cursor?: string; limit: number }) {
  const sentMs = performance.now();
  const request = client.GET("/api/v1/flash-sales", { params: { query }, cache: "no-store" });
  const page = await unwrapReply(request);
  const date = (await request).response.headers.get("date");
  const first = page.items[0];
  if (first) syncClock(first.serverTime, date, sentMs, performance.now());
  return page;
}

/** All sales that are not over, however many were made after them. */
export function useCurrentSales() {
  return useQuery({
    queryKey: [...adminKeys.sales, "current"],
    queryFn: async () => {
      const states = ["active", "paused", "upcoming"] as const;
      const pages = await Promise.all(states.map((status) => fetchSales({ status, limit: PAGE_LEN_MAX })));
      return pages.flatMap((page) => page.items);
    },
    refetchInterval: LIST_PACE_MS,
  });
}

/** All sales, newest first, a page at a time. */
export function useSalePages() {
  return useInfiniteQuery({
    queryKey: [...adminKeys.sales, "all"],
    initialPageParam: "",
    queryFn: ({ pageParam }) => fetchSales({ limit: 50, ...(pageParam === "" ? {} : { cursor: pageParam }) }),
    getNextPageParam: (page) => page.nextCursor ?? undefined,
    refetchInterval: LIST_PACE_MS,
    refetchIntervalInBackground: false,
  });
}

/** The names in addresses that sales have; of so many that they do not fit, the newest. */
export function useTakenSlugs() {
  return useQuery({
    queryKey: [...adminKeys.sales, "slugs"],
    queryFn: async () => {
      const { items } = await fetchSales({ limit: PAGE_LEN_MAX });
      return new Set(items.map(({ slug }) => slug));
    },
  });
}

/** A sale with what only its merchant sees. */
export function useAdminSale(id: string | null) {
  return useQuery({
    queryKey: adminKeys.sale(id ?? ""),
    enabled: id !== null,
    queryFn: async (): Promise<AdminSale> => {
      const path = { id: id ?? "" };
      const { sale } = await unwrapReply(
        client.GET("/api/v1/admin/flash-sales/{id}/overview", { params: { path } }),
      );
      return sale;
    },
    refetchInterval: ({ state }) => (isGone(state.error) ? false : LIST_PACE_MS),
  });
}

function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

function fetchProducts(cursor: string, limit: number) {
  const query = { limit, ...(cursor === "" ? {} : { cursor }) };
  return unwrapReply(client.GET("/api/v1/products", { params: { query }, cache: "no-store" }));
}

export function useProductPages() {
  return useInfiniteQuery({
    queryKey: [...adminKeys.products, "pages"],
    initialPageParam: "",
    queryFn: ({ pageParam }) => fetchProducts(pageParam, 50),
    getNextPageParam: (page) => page.nextCursor ?? undefined,
  });
}

/** The products to choose from. */
export function useProducts() {
  return useQuery({
    queryKey: [...adminKeys.products, "all"],
    queryFn: async (): Promise<Product[]> => {
      const products: Product[] = [];
      let cursor = "";
      for (let pages = 0; pages < CHOICE_PAGES_MAX; pages++) {
        const page = await fetchProducts(cursor, PAGE_LEN_MAX);
        products.push(...page.items);
        if (!page.nextCursor) break;
        cursor = page.nextCursor;
      }
      return products;
    },
  });
}

export function useProduct(id: string | null) {
  return useQuery({
    queryKey: adminKeys.product(id ?? ""),
    enabled: id !== null,
    queryFn: () =>
      unwrapReply(
        client.GET("/api/v1/products/{id}", { params: { path: { id: id ?? "" } }, cache: "no-store" }),
      ),
  });
}
