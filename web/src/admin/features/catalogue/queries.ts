// The sales and products of the catalogue.

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import {
  type AdminSale,
  client,
  type Product,
  type Sale,
  unwrapReply,
  unwrapTimedReply,
} from "../../../lib/api";
import { cursorPaging, pageQuery } from "../../../lib/pages";
import { isNotFound } from "../../../lib/queryCache";
import { adminKeys } from "../../lib/adminCache";

const POLL_MS = 4_000;
const PAGE_LEN = 50;
/** The server's limit of a page. */
const PAGE_LEN_MAX = 200;
/** The product field of the sale form offers at most this many pages of products. */
const PRODUCT_PAGES_MAX = 10;

function fetchSales(query: { status?: Sale["status"]; cursor?: string; limit: number }) {
  const request = client.GET("/api/v1/flash-sales", { params: { query }, cache: "no-store" });
  return unwrapTimedReply(request, ({ items }) => items[0]?.serverTime);
}

/** All sales that are not over, however many newer ones there are. */
export function useCurrentSales() {
  return useQuery({
    queryKey: [...adminKeys.sales, "current"],
    queryFn: async () => {
      const statuses = ["active", "paused", "upcoming"] as const;
      const pages = await Promise.all(statuses.map((status) => fetchSales({ status, limit: PAGE_LEN_MAX })));
      return pages.flatMap((page) => page.items);
    },
    refetchInterval: POLL_MS,
  });
}

/** All sales, newest first. */
export function useSalePages() {
  return useInfiniteQuery({
    queryKey: [...adminKeys.sales, "all"],
    ...cursorPaging,
    queryFn: ({ pageParam }) => fetchSales(pageQuery(pageParam, PAGE_LEN)),
    refetchInterval: POLL_MS,
    refetchIntervalInBackground: false,
  });
}

/** The slugs of the newest sales. */
export function useTakenSlugs() {
  return useQuery({
    queryKey: [...adminKeys.sales, "slugs"],
    queryFn: async () => {
      const { items } = await fetchSales({ limit: PAGE_LEN_MAX });
      return new Set(items.map(({ slug }) => slug));
    },
  });
}

/** A sale with the fields that only admins see. */
export function useAdminSale(id: string | null) {
  return useQuery({
    queryKey: adminKeys.sale(id ?? ""),
    enabled: id !== null,
    queryFn: async (): Promise<AdminSale> => {
      const params = { path: { id: id ?? "" } };
      const { sale } = await unwrapReply(client.GET("/api/v1/admin/flash-sales/{id}/overview", { params }));
      return sale;
    },
    refetchInterval: ({ state }) => !isNotFound(state.error) && POLL_MS,
  });
}

function fetchProducts(cursor: string, limit: number) {
  const params = { query: pageQuery(cursor, limit) };
  return unwrapReply(client.GET("/api/v1/products", { params, cache: "no-store" }));
}

export function useProductPages() {
  return useInfiniteQuery({
    queryKey: [...adminKeys.products, "pages"],
    ...cursorPaging,
    queryFn: ({ pageParam }) => fetchProducts(pageParam, PAGE_LEN),
  });
}

/** All products, for the product field of the sale form. */
export function useProducts() {
  return useQuery({
    queryKey: [...adminKeys.products, "all"],
    queryFn: async () => {
      const products: Product[] = [];
      let cursor = "";
      for (let pages = 0; pages < PRODUCT_PAGES_MAX; pages++) {
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
    queryFn: () => {
      const params = { path: { id: id ?? "" } };
      return unwrapReply(client.GET("/api/v1/products/{id}", { params, cache: "no-store" }));
    },
  });
}
