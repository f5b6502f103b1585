// What the pages know of the server: one cache, one place for its names and how often each is asked. News that come in
// another way only patch this cache.

import { QueryClient, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { ask, client, type Order, type Place, type Sale } from "./api";
import { learnTime, serverNow } from "./clock";
import { orderPace, placePace, salePace, spread } from "./pace";
import { Refused, SessionOver } from "./problem";
import { session } from "./session";
import { useStore } from "./store";

/** Of a buyer's newest orders, so many are looked at on a sale's page; more than any limit per buyer in practice. */
const OWN_ORDERS = 50;
/** Drawn once: a pace that changed with each look at it would start its timer anew each time, and never be due. */
const CHANCE = Math.random();

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // Pages ask again by themselves; a network that the browser believes gone may still be there.
      networkMode: "always",
      retry: (failures, error) =>
        !(error instanceof Refused && error.status < 500) && !isOver(error) && failures < 2,
      retryDelay: (failures) => Math.min(500 * 2 ** failures, 4_000),
      staleTime: 500,
      refetchIntervalInBackground: true,
    },
    mutations: { networkMode: "always", retry: false },
  },
});

const isOver = (error: unknown) => error instanceof SessionOver;

export const keys = {
  sales: ["sales"] as const,
  sale: (name: string) => ["sale", name] as const,
  place: (saleId: string) => ["own", "place", saleId] as const,
  orders: ["own", "orders"] as const,
  order: (id: string) => ["own", "order", id] as const,
};

let isFirstSale = true;

async function fetchSale(name: string): Promise<Sale> {
  // The first one may have been asked for by the browser before this script ran, so it may be as old as the page.
  const cache = isFirstSale ? "default" : "no-store";
  const sentMs = isFirstSale ? 0 : performance.now();
  isFirstSale = false;
  const request = client.GET("/api/v1/flash-sales/{id}", { params: { path: { id: name } }, cache });
  const sale = await ask(request);
  learnTime(sale.serverTime, (await request).response.headers.get("date"), sentMs, performance.now());
  return sale;
}

/** What is newer stays: of two replies that overtook each other the higher version counts. */
function newer(old: Sale | undefined, fresh: Sale): Sale {
  return old !== undefined && old.id === fresh.id && old.version > fresh.version ? old : fresh;
}

export function useSale(name: string) {
  const queries = useQueryClient();
  return useQuery({
    queryKey: keys.sale(name),
    queryFn: async () => newer(queries.getQueryData<Sale>(keys.sale(name)), await fetchSale(name)),
    refetchInterval: ({ state }) => {
      if (state.error instanceof Refused && state.error.status === 404) return false;
      return spread(salePace(state.data, serverNow()), CHANCE);
    },
  });
}

export function useSales() {
  return useInfiniteQuery({
    queryKey: keys.sales,
    initialPageParam: "",
    queryFn: async ({ pageParam }) => {
      const sentMs = performance.now();
      const request = client.GET("/api/v1/flash-sales", {
        params: { query: { limit: 50, ...(pageParam === "" ? {} : { cursor: pageParam }) } },
        cache: "no-store",
      });
      const page = await ask(request);
      const first = page.items[0];
      const date = (await request).response.headers.get("date");
      if (first) learnTime(first.serverTime, date, sentMs, performance.now());
      return page;
    },
    getNextPageParam: (page) => page.nextCursor ?? undefined,
    refetchInterval: () => spread(6_000, CHANCE),
    refetchIntervalInBackground: false,
  });
}

function useSignedIn(): boolean {
  return useStore(session).status === "in";
}

/** The buyer's place in this line; `null` for none. */
export function usePlace(sale: Sale | undefined) {
  const isSignedIn = useSignedIn();
  const id = sale?.id ?? "";
  return useQuery({
    queryKey: keys.place(id),
    enabled: isSignedIn && sale?.admission.type === "fifo",
    queryFn: () => fetchPlace(id),
    refetchInterval: ({ state }) => spread(placePace(state.data), CHANCE),
  });
}

async function fetchPlace(flashSaleId: string): Promise<Place | null> {
  try {
    return await ask(client.GET("/api/v1/queue/position", { params: { query: { flashSaleId } } }));
  } catch (error) {
    if (error instanceof Refused && error.code === "not_in_line") return null;
    throw error;
  }
}

/** The buyer's newest orders, for the page of a sale. */
export function useOwnOrders() {
  const isSignedIn = useSignedIn();
  return useQuery({
    queryKey: [...keys.orders, "newest"],
    enabled: isSignedIn,
    queryFn: () => ask(client.GET("/api/v1/orders", { params: { query: { limit: OWN_ORDERS } } })),
    refetchInterval: ({ state }) => {
      const isPending = state.data?.items.some((order) => order.status === "pending");
      return spread(isPending ? 2_000 : 8_000, CHANCE);
    },
  });
}

export function useOrderPages() {
  const isSignedIn = useSignedIn();
  return useInfiniteQuery({
    queryKey: keys.orders,
    enabled: isSignedIn,
    initialPageParam: "",
    queryFn: ({ pageParam }) =>
      ask(
        client.GET("/api/v1/orders", {
          params: { query: { limit: 20, ...(pageParam === "" ? {} : { cursor: pageParam }) } },
        }),
      ),
    getNextPageParam: (page) => page.nextCursor ?? undefined,
    refetchInterval: () => spread(8_000, CHANCE),
    refetchIntervalInBackground: false,
  });
}

export function useOrder(id: string) {
  const isSignedIn = useSignedIn();
  return useQuery({
    queryKey: keys.order(id),
    enabled: isSignedIn,
    queryFn: () => ask(client.GET("/api/v1/orders/{id}", { params: { path: { id } } })),
    refetchInterval: ({ state }) => {
      if (state.error instanceof Refused && state.error.status === 404) return false;
      return orderPace(state.data);
    },
  });
}

/** Puts what a reply has told into the cache, so that every page and list shows it at once. */
export function rememberOrder(queries: QueryClient, order: Order): void {
  queries.setQueryData(keys.order(order.id), order);
  void queries.invalidateQueries({ queryKey: keys.orders });
}

/** Forgets what belonged to one buyer when another, or nobody, is signed in. */
export function useForgetful(): void {
  const queries = useQueryClient();
  const now = useStore(session);
  const who = now.status === "in" ? now.user.id : now.status;
  // biome-ignore lint/correctness/useExhaustiveDependencies: who is signed in is exactly what this waits for
  useEffect(() => () => queries.removeQueries({ queryKey: ["own"] }), [queries, who]);
}
