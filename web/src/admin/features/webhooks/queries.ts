// Endpoints of webhooks and their deliveries. Lists poll, because deliveries go on by themselves.

import { useQuery } from "@tanstack/react-query";
import type { components } from "../../../api/schema";
import { client, unwrapReply } from "../../../lib/api";
import { adminKeys } from "../../lib/adminCache";
import { activeFilters, type Filters } from "../../lib/useFilters";
import { useRecordPages } from "../../lib/useRecordPages";

export type Webhook = components["schemas"]["Webhook"];
export type Delivery = components["schemas"]["WebhookDelivery"];

export const DELIVERY_FILTERS = ["state"] as const;
export type DeliveryFilters = Filters<(typeof DELIVERY_FILTERS)[number]>;

const POLL_MS = 5_000;

export function useWebhooks() {
  return useQuery({
    queryKey: adminKeys.webhooks,
    queryFn: () => unwrapReply(client.GET("/api/v1/admin/webhooks")),
    refetchInterval: POLL_MS,
  });
}

export function useWebhook(id: string | null) {
  return useQuery({
    queryKey: adminKeys.webhook(id ?? ""),
    queryFn: () =>
      unwrapReply(client.GET("/api/v1/admin/webhooks/{id}", { params: { path: { id: id ?? "" } } })),
    enabled: id !== null,
    refetchInterval: POLL_MS,
  });
}

export function useDeliveries(id: string, filters: DeliveryFilters) {
  const query = activeFilters(filters);
  return useRecordPages({
    queryKey: adminKeys.deliveries(id, query),
    fetchPage: (page) => {
      const params = { path: { id }, query: { ...query, ...page } };
      return unwrapReply(client.GET("/api/v1/admin/webhooks/{id}/deliveries", { params }));
    },
    pollMs: 2_000,
  });
}
