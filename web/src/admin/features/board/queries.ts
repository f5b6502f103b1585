// The queries of the board and the summary. A tab in the background does not poll.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import type { components } from "../../../api/schema";
import { type AdminSale, client, unwrapReply, unwrapTimedReply } from "../../../lib/api";
import { serverNow } from "../../../lib/clock";
import { isNotFound } from "../../../lib/queryCache";
import { isSaleOver } from "../../../lib/saleStatus";
import { adminKeys } from "../../lib/adminCache";

export type Overview = components["schemas"]["OverviewJson"];
export type Summary = components["schemas"]["SummaryJson"];
export type Series = components["schemas"]["SeriesJson"];
export type Bucket = components["schemas"]["BucketJson"];
export type Units = components["schemas"]["SeriesUnitsJson"];
export type Counts = components["schemas"]["CountsJson"];
export type Spans = components["schemas"]["SpansJson"];
export type ServerReport = components["schemas"]["ServerJson"];

const SECOND = 1_000;
/** The period that the live charts show, and its steps. */
export const LIVE_WINDOW = { lengthS: 300, stepS: 2 };
/** The latencies of the server are those of this period. */
const LATENCY_WINDOW_MS = 60 * SECOND;

/** `busyMs` while the figures of the sale can change each second, else 10 s; `false` for a sale that does not exist. */
function boardPollMs(sale: AdminSale | undefined, error: unknown, busyMs: number): number | false {
  if (isNotFound(error)) return false;
  if (sale === undefined) return 3 * SECOND;
  const isBusy = !isSaleOver(sale) || sale.held > 0 || sale.admitted > 0;
  const startsInMs = sale.status === "upcoming" ? Date.parse(sale.startsAt) - (serverNow() ?? 0) : 0;
  return isBusy && startsInMs < 3_600 * SECOND ? busyMs : 10 * SECOND;
}

export function useOverview(id: string) {
  return useQuery({
    queryKey: adminKeys.board(id, "overview"),
    queryFn: () => {
      const request = client.GET("/api/v1/admin/flash-sales/{id}/overview", { params: { path: { id } } });
      return unwrapTimedReply(request, ({ sale }) => sale.serverTime);
    },
    refetchInterval: ({ state }) => boardPollMs(state.data?.sale, state.error, SECOND),
    refetchIntervalInBackground: false,
  });
}

export function useSummary(id: string) {
  return useQuery({
    queryKey: adminKeys.board(id, "summary"),
    queryFn: () => {
      const request = client.GET("/api/v1/admin/flash-sales/{id}/summary", { params: { path: { id } } });
      return unwrapTimedReply(request, ({ sale }) => sale.serverTime);
    },
    refetchInterval: ({ state }) => boardPollMs(state.data?.sale, state.error, 2 * SECOND),
    refetchIntervalInBackground: false,
  });
}

const toIso = (ms: number) => new Date(ms).toISOString();

function fetchSeries(id: string, query: { from: string; to?: string; step?: number }) {
  const params = { path: { id }, query };
  return unwrapReply(client.GET("/api/v1/admin/flash-sales/{id}/series", { params }));
}

/** The last minutes in short steps. */
export function useLiveSeries(sale: AdminSale | undefined) {
  const id = sale?.id ?? "";
  return useQuery({
    queryKey: adminKeys.board(id, "live"),
    enabled: sale !== undefined,
    queryFn: () => {
      // The sale came before, with the server's time.
      const now = serverNow() ?? Date.parse(sale?.serverTime ?? "");
      const from = toIso(now - LIVE_WINDOW.lengthS * SECOND);
      return fetchSeries(id, { from, to: toIso(now), step: LIVE_WINDOW.stepS });
    },
    refetchInterval: ({ state }) => boardPollMs(sale, state.error, 2 * SECOND),
    refetchIntervalInBackground: false,
  });
}

/** The whole sale, from the first to the last activity of a buyer. The server chooses the steps. */
export function useSaleSeries(summary: Summary | undefined) {
  const id = summary?.sale.id ?? "";
  const from = summary?.firstActivityAt ?? "";
  const last = summary?.lastActivityAt ?? "";
  // "": the sale is not over, so the series ends now.
  const to = summary && isSaleOver(summary.sale) && last !== "" ? toIso(Date.parse(last) + 2 * SECOND) : "";
  return useQuery({
    queryKey: adminKeys.board(id, "whole", from, to),
    enabled: from !== "",
    queryFn: () => fetchSeries(id, to === "" ? { from } : { from, to }),
    refetchInterval: ({ state }) => boardPollMs(summary?.sale, state.error, 4 * SECOND),
    refetchIntervalInBackground: false,
  });
}

/** The reports of the server of the last minute, oldest first. After a restart, or from another instance, the list starts again. */
export function useServerReports() {
  const queries = useQueryClient();
  const queryKey = adminKeys.board("server");
  return useQuery({
    queryKey,
    queryFn: async () => {
      const newest = await unwrapReply(client.GET("/api/v1/admin/server"));
      const cached = queries.getQueryData<ServerReport[]>(queryKey) ?? [];
      const oldestMs = Date.parse(newest.serverTime) - LATENCY_WINDOW_MS;
      const kept = cached.filter(
        (report) => report.startedAt === newest.startedAt && Date.parse(report.serverTime) >= oldestMs,
      );
      return [...kept, newest];
    },
    refetchInterval: 4 * SECOND,
    refetchIntervalInBackground: false,
  });
}
