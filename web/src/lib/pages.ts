// Lists that the server returns page by page, each with a cursor to the next page.

/** The options of `useInfiniteQuery` that every such list has; the first page has the cursor "". */
export const cursorPaging = {
  initialPageParam: "",
  getNextPageParam: (page: { nextCursor?: string | null }) => page.nextCursor ?? undefined,
};

export function pageQuery(cursor: string, limit: number): { limit: number; cursor?: string } {
  return cursor === "" ? { limit } : { limit, cursor };
}
