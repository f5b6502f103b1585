// The buyer's own state that several pages need: the places in line and the newest orders.

import { type QueryClient, queryOptions, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { type Activity, listActivities } from "./activity";
import { client, type Order, type Place, type Sale, unwrapReply } from "./api";
import { ApiError } from "./errors";
import { knownPlaces } from "./knownPlaces";
import { feedState } from "./live/feedState";
import { fetchFresh, mergePlace } from "./live/freshness";
import { useIsLive } from "./live/liveState";
import { addJitter, placePollMs } from "./pollInterval";
import { queryKeys } from "./queryKeys";
import { useUser } from "./session";
import { useStore } from "./store";

/** The pages need the buyer's orders of one sale; in practice no limit per buyer exceeds this number. */
const NEWEST_ORDERS = 50;

/** The buyer's place in the line of a sale, also one that has ended; `null` without one. */
export function usePlace(sale: Sale | undefined) {
  const queries = useQueryClient();
  const isSignedIn = useUser() !== null;
  const isLive = useIsLive();
  return useQuery({
    ...placeOptions(queries, sale?.id ?? "", isLive),
    enabled: isSignedIn && sale?.admission.type === "fifo",
  });
}

function placeOptions(queries: QueryClient, id: string, isLive: boolean) {
  const queryKey = queryKeys.place(id);
  return queryOptions({
    queryKey,
    queryFn: async () => {
      const received = await fetchFresh(queryKey, () => fetchPlace(id));
      const cached = queries.getQueryData<Place | null>(queryKey);
      // A used turn has usually become an order. The order is fetched first, so that the page does not offer the line in between.
      if (received === null && cached?.status === "admitted") {
        await queries.invalidateQueries({ queryKey: queryKeys.orders });
      }
      return mergePlace(cached, received);
    },
    refetchInterval: ({ state }) => !isLive && addJitter(placePollMs(state.data, feedState.isFresh(id))),
  });
}

async function fetchPlace(flashSaleId: string): Promise<Place | null> {
  try {
    return await unwrapReply(client.GET("/api/v1/queue/position", { params: { query: { flashSaleId } } }));
  } catch (error) {
    // The sale may be gone altogether; then the place is too.
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** `isWatching` is false for a page that needs the orders only as far as they change by themselves: without a held one it does not poll. */
export function useNewestOrders(isWatching = true) {
  const isSignedIn = useUser() !== null;
  const isLive = useIsLive();
  const query = { limit: NEWEST_ORDERS };
  return useQuery({
    queryKey: [...queryKeys.orders, "newest"],
    enabled: isSignedIn,
    queryFn: () =>
      fetchFresh(queryKeys.orders, () =>
        unwrapReply<{ items: Order[] }>(client.GET("/api/v1/orders", { params: { query } })),
      ),
    refetchInterval: ({ state }) => {
      const isPending = state.data?.items.some((order) => order.status === "pending");
      if (!isPending && !isWatching) return false;
      return !isLive && addJitter(isPending ? 2_000 : 8_000);
    },
  });
}

/** What the buyer has under way, the most urgent first; `isLoaded` is false until all of it is known. */
export function useActivities(): { activities: Activity[]; isLoaded: boolean } {
  const queries = useQueryClient();
  const user = useUser();
  const isLive = useIsLive();
  const known = useStore(knownPlaces);
  const saleIds = user !== null && known.userId === user.id ? known.saleIds : [];
  const places = useQueries({ queries: saleIds.map((id) => placeOptions(queries, id, isLive)) });
  const orders = useNewestOrders(false);
  if (user === null) return { activities: [], isLoaded: true };
  return {
    activities: listActivities(
      places.flatMap(({ data }) => data ?? []),
      orders.data?.items ?? [],
    ),
    isLoaded: !orders.isPending && places.every(({ isPending }) => !isPending),
  };
}
