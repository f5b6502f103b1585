// All sales, page by page.

import { useInfiniteQuery } from "@tanstack/react-query";
import { client, unwrapReply } from "../../lib/api";
import { syncClock } from "../../lib/clock";
import { cursorPaging, pageQuery } from "../../lib/pages";
import { addJitter } from "../../lib/pollInterval";
import { queryKeys } from "../../lib/queryKeys";

export function useSales() {
  return useInfiniteQuery({
    queryKey: queryKeys.sales,
    ...cursorPaging,
    queryFn: async ({ pageParam }) => {
      const sentMs = performance.now();
      const query = pageQuery(pageParam, 50);
      const request = client.GET("/api/v1/flash-sales", { params: { query }, cache: "no-store" });
      const page = await unwrapReply(request);
      const date = (await request).response.headers.get("date");
      const [first] = page.items;
      if (first) syncClock(first.serverTime, date, sentMs, performance.now());
      return page;
    },
    refetchInterval: () => addJitter(6_000),
    refetchIntervalInBackground: false,
  });
}
