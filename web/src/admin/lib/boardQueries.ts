// What the board and the summary know of the server, and how often each is asked. A page that nobody looks at asks nothing.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import type { components } from "../../api/schema";
import { client, unwrapReply } from "../../lib/api";
import { serverNow, syncClock } from "../../lib/clock";
import { ApiError } from "../../lib/errors";
import { isOver } from "./over";

export type Overview = components["schemas"]["OverviewJson"];
export type Summary = components["schemas"]["SummaryJson"];
export type Series = components["schemas"]["SeriesJson"];
export type Bucket = components["schemas"]["BucketJson"];
export type Units = components["schemas"]["SeriesUnitsJson"];
export type Counts = components["schemas"]["CountsJson"];
export type Spans = components["schemas"]["SpansJson"];
export type Server = components["schemas"]["ServerJson"];
export type AdminSale = components["schemas"]["AdminSaleJson"];

const SECOND = 1_000;
/** What the charts of "now" show, and how fine. */
export const LIVE = { lengthS: 300, stepS: 2 };
/** How long the latencies of this server are looked back at. */
const LOOK_BACK_MS = 60 * SECOND;

const keys = {
  overview: (id: string) => ["own", "admin", "board", id, "overview"] as const,
  live: (id: string) => ["own", "admin", "board", id, "live"] as const,
  whole: (id: string, from: string, to: string) => ["own", "admin", "board", id, "whole", from, to] as const,
  summary: (id: string) => ["own", "admin", "board", id, "summary"] as const,
  server: ["own", "admin", "board", "server"] as const,
};

/** While something can happen each second or two, else rarely; never about a sale that does not exist. */
function pace(sale: AdminSale | undefined, error: unknown, ms: number): number | false {
  if (error instanceof ApiError && error.status === 404) return false;
  if (sale === undefined) return 3 * SECOND;
  const isBusy = !isOver(sale) || sale.held > 0 || sale.admitted > 0;
  const startsInMs = sale.status === "upcoming" ? Date.parse(sale.startsAt) - serverNow() : 0;
  return isBusy && startsInMs < 3_600 * SECOND ? ms : 10 * SECOND;
}

export function useOverview(id: string) {
  return useQuery({
    queryKey: keys.overview(id),
    queryFn: async () => {
      const sentMs = performance.now();
      const path = { params: { path: { id } } };
      const request = client.GET("/api/v1/admin/flash-sales/{id}/overview", path);
      const overview = await unwrapReply(request);
      const date = (await request).response.headers.get("date");
      syncClock(overview.sale.serverTime, date, sentMs, performance.now());
      return overview;
    },
    refetchInterval: ({ state }) => pace(state.data?.sale, state.error, SECOND),
    refetchIntervalInBackground: false,
  });
}

const atMs = (ms: number) => new Date(ms).toISOString();

/** The last minutes, in fine steps. */
export function useLive(sale: AdminSale | undefined) {
  const id = sale?.id ?? "";
  return useQuery({
    queryKey: keys.live(id),
    enabled: sale !== undefined,
    queryFn: () => {
      const now = serverNow();
      const query = { from: atMs(now - LIVE.lengthS * SECOND), to: atMs(now), step: LIVE.stepS };
      return unwrapReply(
        client.GET("/api/v1/admin/flash-sales/{id}/series", { params: { path: { id }, query } }),
      );
    },
    refetchInterval: ({ state }) => pace(sale, state.error, 2 * SECOND),
    refetchIntervalInBackground: false,
  });
}

/** The whole sale, from its first to its last moment with a buyer in it. The server chooses the steps. */
export function useWhole(summary: Summary | undefined) {
  const id = summary?.sale.id ?? "";
  const from = summary?.firstActivityAt ?? "";
  // A sale that goes on is shown until now; "" stands for that.
  const last = summary?.lastActivityAt ?? "";
  const to = summary && isOver(summary.sale) && last !== "" ? atMs(Date.parse(last) + 2 * SECOND) : "";
  return useQuery({
    queryKey: keys.whole(id, from, to),
    enabled: from !== "",
    queryFn: () => {
      const query = to === "" ? { from } : { from, to };
      return unwrapReply(
        client.GET("/api/v1/admin/flash-sales/{id}/series", { params: { path: { id }, query } }),
      );
    },
    refetchInterval: ({ state }) => pace(summary?.sale, state.error, 4 * SECOND),
    refetchIntervalInBackground: false,
  });
}

export function useSummary(id: string) {
  return useQuery({
    queryKey: keys.summary(id),
    queryFn: async () => {
      const sentMs = performance.now();
      const path = { params: { path: { id } } };
      const request = client.GET("/api/v1/admin/flash-sales/{id}/summary", path);
      const summary = await unwrapReply(request);
      const date = (await request).response.headers.get("date");
      syncClock(summary.sale.serverTime, date, sentMs, performance.now());
      return summary;
    },
    refetchInterval: ({ state }) => pace(state.data?.sale, state.error, 2 * SECOND),
    refetchIntervalInBackground: false,
  });
}

/** Looks at the server of the last minute, oldest first. A restart, or another server, begins anew. */
export function useServer() {
  const queries = useQueryClient();
  return useQuery({
    queryKey: keys.server,
    queryFn: async () => {
      const fresh = await unwrapReply(client.GET("/api/v1/admin/server"));
      const known = queries.getQueryData<Server[]>(keys.server) ?? [];
      const oldest = Date.parse(fresh.serverTime) - LOOK_BACK_MS;
      const isOfUse = (look: Server) =>
        look.startedAt === fresh.startedAt && Date.parse(look.serverTime) >= oldest;
      return [...known.filter(isOfUse), fresh];
    },
    refetchInterval: 4 * SECOND,
    refetchIntervalInBackground: false,
  });
}
