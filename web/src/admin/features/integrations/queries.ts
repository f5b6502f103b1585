// What follows the ledger, and the mails of the shop. All poll, because they go on by themselves.

import { useQuery } from "@tanstack/react-query";
import type { components } from "../../../api/schema";
import { client, unwrapReply } from "../../../lib/api";
import { adminKeys } from "../../lib/adminCache";
import { activeFilters, type Filters } from "../../lib/useFilters";
import { useRecordPages } from "../../lib/useRecordPages";

export type Follower = components["schemas"]["FollowerJson"];
export type FollowerSale = components["schemas"]["FollowerSaleJson"];
export type Mail = components["schemas"]["MailJson"];
export type MailSwitches = Record<string, boolean>;

export const MAIL_FILTERS = ["state"] as const;
export type MailFilters = Filters<(typeof MAIL_FILTERS)[number]>;

const POLL_MS = 3_000;

export function useFollowers() {
  return useQuery({
    queryKey: adminKeys.followers,
    queryFn: () => unwrapReply(client.GET("/api/v1/admin/followers")),
    refetchInterval: POLL_MS,
  });
}

export function useMails(filters: MailFilters) {
  const query = activeFilters(filters);
  return useRecordPages({
    queryKey: adminKeys.mails(query),
    fetchPage: (page) => {
      const params = { query: { ...query, ...page } };
      return unwrapReply(client.GET("/api/v1/admin/mails", { params }));
    },
    pollMs: POLL_MS,
  });
}

export function useMailSwitches() {
  return useQuery({
    queryKey: adminKeys.mailSwitches,
    queryFn: (): Promise<MailSwitches> => unwrapReply(client.GET("/api/v1/admin/mail-switches")),
  });
}
