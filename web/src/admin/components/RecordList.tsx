// The frame of a list of records: loading, error, the records, the text for an empty list, and the button for the next page.

import type { InfiniteData, UseInfiniteQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { LoadMore } from "../../components/LoadMore";
import { ErrorNotice, LoadError } from "../../components/Notices";
import { t } from "../lib/texts";
import { AdminNotFound } from "./AdminNotFound";

interface Props<T, P extends { items: T[] }> {
  query: UseInfiniteQueryResult<InfiniteData<P>>;
  emptyText: string;
  /** `isStale` is true while the records are those of the previous filters. */
  children: (records: P["items"], isStale: boolean) => ReactNode;
}

export function RecordList<T, P extends { items: T[] }>({ query, emptyText, children }: Props<T, P>) {
  const { data, error, isPending, isPlaceholderData, refetch, hasNextPage } = query;
  if (isPending) return <div className="skeleton h-64" aria-busy="true" />;
  if (data === undefined) return <LoadError error={error} onRetry={refetch} lost={<AdminNotFound />} />;
  const records = data.pages.flatMap((page) => page.items);
  const isEmpty = records.length === 0;
  return (
    <>
      <ErrorNotice error={error} />
      {children(records, isPlaceholderData)}
      <div className="grid justify-items-start pt-6">
        {/* A page can be empty although later ones are not: the server searches a limited number of records at once. */}
        <p role="status" className={isEmpty ? "text-lg text-soft" : "sr-only"}>
          {isEmpty && (hasNextPage ? t("line.search_on") : emptyText)}
        </p>
        <LoadMore query={query} text={isEmpty ? t("line.look_further") : t("list.more")} />
      </div>
    </>
  );
}
