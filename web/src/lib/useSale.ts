// One sale, by its id or its slug.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { client, type Sale, unwrapTimedReply } from "./api";
import { serverNow } from "./clock";
import { pickNewerSale } from "./live/freshness";
import { useIsLive } from "./live/liveState";
import { addJitter, salePollMs } from "./pollInterval";
import { isNotFound } from "./queryCache";
import { queryKeys } from "./queryKeys";

let isFirstRequest = true;

async function fetchSale(id: string): Promise<Sale> {
  // The browser may have preloaded the first sale before this script ran, so its reply may be as old as the page.
  const cache = isFirstRequest ? "default" : "no-store";
  const sentMs = isFirstRequest ? 0 : performance.now();
  isFirstRequest = false;
  const request = client.GET("/api/v1/flash-sales/{id}", { params: { path: { id } }, cache });
  return unwrapTimedReply(request, (sale) => sale.serverTime, sentMs);
}

/** `isStatic` is for components that show only what does not change, such as the name of the product: they do not poll. */
export function useSale(idOrSlug: string, isStatic = false) {
  const queries = useQueryClient();
  const isLive = useIsLive();
  const queryKey = queryKeys.sale(idOrSlug);
  return useQuery({
    queryKey,
    queryFn: async () => {
      const received = await fetchSale(idOrSlug);
      return pickNewerSale(queries.getQueryData<Sale>(queryKey), received);
    },
    refetchInterval: ({ state }) =>
      !isLive && !isStatic && !isNotFound(state.error) && addJitter(salePollMs(state.data, serverNow())),
  });
}
