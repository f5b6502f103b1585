// The keys of the admin's part of the query cache. All of it is below `own`, so it is removed when another user signs in.

import type { QueryClient } from "@tanstack/react-query";
import { queryKeys } from "../../lib/queryKeys";

const root = [...queryKeys.own, "admin"] as const;

export const adminKeys = {
  sales: [...root, "sales"] as const,
  sale: (id: string) => [...root, "sale", id] as const,
  products: [...root, "products"] as const,
  product: (id: string) => [...root, "product", id] as const,
  orders: [...root, "orders"] as const,
  records: (kind: "line" | "attempts" | "ledger", saleId: string, filters: unknown) =>
    [...root, kind, saleId, filters] as const,
  webhooks: [...root, "webhooks"] as const,
  webhook: (id: string) => [...root, "webhooks", id] as const,
  deliveries: (id: string, filters: unknown) => [...root, "webhooks", id, "deliveries", filters] as const,
  followers: [...root, "followers"] as const,
  everyMail: [...root, "mails"] as const,
  mails: (filters: unknown) => [...root, "mails", filters] as const,
  mailSwitches: [...root, "mail-switches"] as const,
  health: [...root, "health"] as const,
  board: (...parts: string[]) => [...root, "board", ...parts] as const,
};

/** Fetches everything that shows sales or products again, the shop's pages included. */
export function refreshSales(queries: QueryClient): Promise<unknown> {
  const stale = [root, queryKeys.everySale, queryKeys.sales];
  return Promise.all(stale.map((queryKey) => queries.invalidateQueries({ queryKey })));
}
