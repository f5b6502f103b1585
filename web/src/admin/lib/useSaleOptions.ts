// The sales to choose from in a filter or a form.

import { useQuery } from "@tanstack/react-query";
import { client, unwrapReply } from "../../lib/api";
import { adminKeys } from "./adminCache";

/** Only the newest sales are offered: a longer list is of no use. */
const SALE_OPTIONS_MAX = 200;

export function useSaleOptions() {
  return useQuery({
    queryKey: [...adminKeys.sales, "options"],
    queryFn: () => {
      const query = { limit: SALE_OPTIONS_MAX };
      return unwrapReply(client.GET("/api/v1/flash-sales", { params: { query }, cache: "no-store" }));
    },
    staleTime: 30_000,
  });
}
