// What the page of a sale needs beside the sale: the buyer's place in line and newest orders.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { client, type Place, type Sale, unwrapReply } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { fetchFresh, mergePlace } from "../../lib/live/freshness";
import { useIsLive } from "../../lib/live/liveState";
import { addJitter, placePollMs } from "../../lib/pollInterval";
import { queryKeys } from "../../lib/queryKeys";
import { useUser } from "../../lib/session";

/** The page needs the buyer's orders of one sale; in practice no limit per buyer exceeds this number. */
const NEWEST_ORDERS = 50;

/** The buyer's place in the line of a sale; `null` without one. */
export function usePlace(sale: Sale | undefined) {
  const queries = useQueryClient();
  const isSignedIn = useUser() !== null;
  const isLive = useIsLive();
  const id = sale?.id ?? "";
  const queryKey = queryKeys.place(id);
  return useQuery({
    queryKey,
    enabled: isSignedIn && sale?.admission.type === "fifo",
    queryFn: async () => {
      const received = await fetchFresh(queryKey, () => fetchPlace(id));
      const cached = queries.getQueryData<Place | null>(queryKey);
      // A used turn has usually become an order. The order is fetched first, so that the page does not offer the line in between.
      if (received === null && cached?.status === "admitted") {
        await queries.invalidateQueries({ queryKey: queryKeys.orders });
      }
      return mergePlace(cached, received);
    },
    refetchInterval: ({ state }) => !isLive && addJitter(placePollMs(state.data)),
  });
}

async function fetchPlace(flashSaleId: string): Promise<Place | null> {
  try {
    return await unwrapReply(client.GET("/api/v1/queue/position", { params: { query: { flashSaleId } } }));
  } catch (error) {
    if (error instanceof ApiError && error.code === "not_in_line") return null;
    throw error;
  }
}

export function useNewestOrders() {
  const isSignedIn = useUser() !== null;
  const isLive = useIsLive();
  const query = { limit: NEWEST_ORDERS };
  return useQuery({
    queryKey: [...queryKeys.orders, "newest"],
    enabled: isSignedIn,
    queryFn: () =>
      fetchFresh(queryKeys.orders, () => unwrapReply(client.GET("/api/v1/orders", { params: { query } }))),
    refetchInterval: ({ state }) => {
      const isPending = state.data?.items.some((order) => order.status === "pending");
      return !isLive && addJitter(isPending ? 2_000 : 8_000);
    },
  });
}
