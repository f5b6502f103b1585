// The buyer's own orders.

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { client, unwrapReply } from "../../lib/api";
import { fetchFresh } from "../../lib/live/freshness";
import { useIsLive } from "../../lib/live/liveState";
import { cursorPaging, pageQuery } from "../../lib/pages";
import { addJitter, orderPollMs } from "../../lib/pollInterval";
import { isNotFound } from "../../lib/queryCache";
import { queryKeys } from "../../lib/queryKeys";
import { useUser } from "../../lib/session";

export function useOrderPages() {
  const isSignedIn = useUser() !== null;
  const isLive = useIsLive();
  return useInfiniteQuery({
    queryKey: queryKeys.orders,
    enabled: isSignedIn,
    ...cursorPaging,
    queryFn: ({ pageParam }) => {
      const query = pageQuery(pageParam, 20);
      return fetchFresh(queryKeys.orders, () =>
        unwrapReply(client.GET("/api/v1/orders", { params: { query } })),
      );
    },
    refetchInterval: () => !isLive && addJitter(8_000),
    refetchIntervalInBackground: false,
  });
}

/** `isExpected`: the bank is about to answer, so the order is fetched each second. */
export function useOrder(id: string, isExpected = false) {
  const isSignedIn = useUser() !== null;
  const isLive = useIsLive();
  const queryKey = queryKeys.order(id);
  return useQuery({
    queryKey,
    enabled: isSignedIn,
    queryFn: () =>
      fetchFresh(queryKey, () =>
        unwrapReply(client.GET("/api/v1/orders/{id}", { params: { path: { id } } })),
      ),
    refetchInterval: ({ state }) => {
      if (isNotFound(state.error)) return false;
      if (isExpected && state.data?.status === "pending") return 1_000;
      return !isLive && orderPollMs(state.data);
    },
  });
}
