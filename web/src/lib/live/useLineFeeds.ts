// Reads the feeds of the lines in which the buyer waits, while a page is open. The script that does it is loaded when there is one.

import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import type { FeedWatcher } from "./feedWatcher";

/** When the script fails to load, the next try is after this time; the places are polled meanwhile. */
const RETRY_MS = 30_000;

let watcher: FeedWatcher | null = null;
let isLoading = false;
let wanted: readonly string[] = [];

export function useLineFeeds(saleIds: readonly string[]): void {
  const queries = useQueryClient();
  const joined = saleIds.join(" ");
  useEffect(() => {
    wanted = joined === "" ? [] : joined.split(" ");
    update(queries);
  }, [joined, queries]);
}

function update(queries: QueryClient): void {
  if (watcher) watcher.watch(wanted);
  else if (wanted.length > 0 && !isLoading) load(queries);
}

function load(queries: QueryClient): void {
  isLoading = true;
  import("./feedWatcher")
    .then(({ FeedWatcher }) => {
      watcher = new FeedWatcher(queries);
      update(queries);
    })
    .catch(() => {
      setTimeout(() => {
        isLoading = false;
        update(queries);
      }, RETRY_MS);
    });
}
