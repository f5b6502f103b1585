// What the pages know of the server: one cache, one place for its names and how often each is asked. While news come by themselves
// (live/live.ts) nobody asks but the safety net there; what they tell only patches this cache.

import { QueryClient, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { ask, client, type Order, type Place, type Sale } from "./api";
import { learnTime, serverNow } from "./clock";
import { askFresh, newerPlace, newerSale } from "./live/fresh";
import { useIsLive } from "./live/live";
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
  everySale: ["sale"] as const,
  own: ["own"] as const,
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

/** `isNameOnly` is for those who show nothing of it that changes. */
export function useSale(name: string, isNameOnly = false) {
  const queries = useQueryClient();
  const isLive = useIsLive();
  return useQuery({
    queryKey: keys.sale(name),
    queryFn: async () => {
      const said = await fetchSale(name);
      return newerSale(queries.getQueryData<Sale>(keys.sale(name)), said);
    },
    refetchInterval: ({ state }) => {
      if (isLive || isNameOnly) return false;
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
  const queries = useQueryClient();
  const isSignedIn = useSignedIn();
  const isLive = useIsLive();
  const id = sale?.id ?? "";
  const key = keys.place(id);
  return useQuery({
    queryKey: key,
    enabled: isSignedIn && sale?.admission.type === "fifo",
    queryFn: async () => {
      const said = await askFresh(key, () => fetchPlace(id));
      const known = queries.getQueryData<Place | null>(key);
      // A turn that is over has usually become an order: that first, so that nobody is shown the way into the line again.
      if (said === null && known?.status === "admitted") {
        await queries.invalidateQueries({ queryKey: keys.orders });
      }
      return newerPlace(known, said);
    },
    refetchInterval: ({ state }) => !isLive && spread(placePace(state.data), CHANCE),
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
  const isLive = useIsLive();
  return useQuery({
    queryKey: [...keys.orders, "newest"],
    enabled: isSignedIn,
    queryFn: () =>
      askFresh(keys.orders, () =>
        ask(client.GET("/api/v1/orders", { params: { query: { limit: OWN_ORDERS } } })),
      ),
    refetchInterval: ({ state }) => {
      if (isLive) return false;
      const isPending = state.data?.items.some((order) => order.status === "pending");
      return spread(isPending ? 2_000 : 8_000, CHANCE);
    },
  });
}

export function useOrderPages() {
  const isSignedIn = useSignedIn();
  const isLive = useIsLive();
  return useInfiniteQuery({
    queryKey: keys.orders,
    enabled: isSignedIn,
    initialPageParam: "",
    queryFn: ({ pageParam }) =>
      askFresh(keys.orders, () =>
        ask(
          client.GET("/api/v1/orders", {
            params: { query: { limit: 20, ...(pageParam === "" ? {} : { cursor: pageParam }) } },
          }),
        ),
      ),
    getNextPageParam: (page) => page.nextCursor ?? undefined,
    refetchInterval: () => !isLive && spread(8_000, CHANCE),
    refetchIntervalInBackground: false,
  });
}

export function useOrder(id: string) {
  const isSignedIn = useSignedIn();
  const isLive = useIsLive();
  return useQuery({
    queryKey: keys.order(id),
    enabled: isSignedIn,
    queryFn: () =>
      askFresh(keys.order(id), () => ask(client.GET("/api/v1/orders/{id}", { params: { path: { id } } }))),
    refetchInterval: ({ state }) => {
      if (isLive) return false;
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
  useEffect(() => () => queries.removeQueries({ queryKey: keys.own }), [queries, who]);
}
