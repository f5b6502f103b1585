// All sales, page by page.

import { useInfiniteQuery } from "@tanstack/react-query";
import { client, unwrapTimedReply } from "../../lib/api";
import { cursorPaging, pageQuery } from "../../lib/pages";
import { addJitter } from "../../lib/pollInterval";
import { queryKeys } from "../../lib/queryKeys";

export function useSales() {
  return useInfiniteQuery({
    queryKey: queryKeys.sales,
    ...cursorPaging,
    queryFn: ({ pageParam }) => {
      const query = pageQuery(pageParam, 50);
      const request = client.GET("/api/v1/flash-sales", { params: { query }, cache: "no-store" });
      return unwrapTimedReply(request, ({ items }) => items[0]?.serverTime);
    },
    refetchInterval: () => addJitter(6_000),
    refetchIntervalInBackground: false,
  });
}
