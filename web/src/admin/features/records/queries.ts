// The records of one sale: its line, its attempts and its ledger.

import type { components } from "../../../api/schema";
import { client, unwrapReply } from "../../../lib/api";
import { adminKeys } from "../../lib/adminCache";
import { activeFilters } from "../../lib/useFilters";
import { useRecordPages } from "../../lib/useRecordPages";
import { type AttemptFilters, type LedgerFilters, ledgerQuery } from "./filters";

export type LedgerEvent = components["schemas"]["EventJson"];
export type Attempt = components["schemas"]["AttemptJson"];
export type LineMember = components["schemas"]["MemberJson"];

export function useLine(id: string, buyer: string) {
  return useRecordPages({
    queryKey: adminKeys.records("line", id, buyer),
    fetchPage: (page) => {
      const params = { path: { id }, query: { ...page, ...(buyer && { buyer }) } };
      return unwrapReply(client.GET("/api/v1/admin/flash-sales/{id}/queue", { params }));
    },
    pollMs: 3_000,
  });
}

export function useAttempts(id: string, filters: AttemptFilters) {
  const query = activeFilters(filters);
  return useRecordPages({
    queryKey: adminKeys.records("attempts", id, query),
    fetchPage: (page) => {
      const params = { path: { id }, query: { ...query, ...page } };
      return unwrapReply(client.GET("/api/v1/admin/flash-sales/{id}/attempts", { params }));
    },
    pollMs: 5_000,
  });
}

/** `isLive`: the sale is not over, and the list shows the newest events. */
export function useLedger(id: string, filters: LedgerFilters, isLive: boolean) {
  const query = ledgerQuery(filters);
  return useRecordPages({
    queryKey: adminKeys.records("ledger", id, query),
    fetchPage: (page) => {
      const params = { path: { id }, query: { ...query, ...page } };
      return unwrapReply(client.GET("/api/v1/admin/flash-sales/{id}/events", { params }));
    },
    pollMs: isLive && 2_000,
  });
}

export function checkReceipt(id: string, buyer: string, receipt: string) {
  const params = { path: { id }, query: { buyer, receipt } };
  return unwrapReply(client.GET("/api/v1/admin/flash-sales/{id}/receipt", { params }));
}
