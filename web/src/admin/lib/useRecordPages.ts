// The query behind each list of records. It polls, and it shows the previous records until those of new filters are loaded.

import { keepPreviousData, type QueryKey, useInfiniteQuery } from "@tanstack/react-query";
import { cursorPaging, pageQuery } from "../../lib/pages";

const PAGE_LEN = 50;

interface PagesOptions<P> {
  queryKey: QueryKey;
  fetchPage: (page: ReturnType<typeof pageQuery>) => Promise<P>;
  /** The interval with one page; `false` does not poll. A poll fetches all shown pages, so more pages poll less often. */
  pollMs: number | false;
}

export function useRecordPages<P extends { nextCursor?: string | null }>(options: PagesOptions<P>) {
  const { queryKey, fetchPage, pollMs } = options;
  return useInfiniteQuery({
    queryKey,
    ...cursorPaging,
    queryFn: ({ pageParam }) => fetchPage(pageQuery(pageParam, PAGE_LEN)),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => pollMs !== false && pollMs * Math.max(1, state.data?.pages.length ?? 1),
    refetchIntervalInBackground: false,
  });
}
