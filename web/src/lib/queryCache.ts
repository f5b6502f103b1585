// The query cache: the only copy of server state in the pages. Polls fill it, socket messages patch it (live/cachePatcher.ts).

import { QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import type { Order } from "./api";
import { ApiError, SessionEndedError } from "./errors";
import { queryKeys } from "./queryKeys";
import { useUser } from "./session";

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // The browser may report no network although the server can be reached.
      networkMode: "always",
      retry: (failures, error) =>
        !(error instanceof ApiError && error.status < 500) &&
        !(error instanceof SessionEndedError) &&
        failures < 2,
      retryDelay: (failures) => Math.min(500 * 2 ** failures, 4_000),
      staleTime: 500,
      refetchIntervalInBackground: true,
    },
    mutations: { networkMode: "always", retry: false },
  },
});

/** A resource that does not exist is not polled again. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

/** Puts the order of a reply into the cache, so that every page and list shows it at once. */
export function cacheOrder(queries: QueryClient, order: Order): void {
  queries.setQueryData(queryKeys.order(order.id), order);
  void queries.invalidateQueries({ queryKey: queryKeys.orders });
}

/** Removes the data of one user from the cache when another user, or none, is signed in. */
export function useClearOwnData(): void {
  const queries = useQueryClient();
  const userId = useUser()?.id;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the effect runs when the user changes
  useEffect(() => () => queries.removeQueries({ queryKey: queryKeys.own }), [queries, userId]);
}
