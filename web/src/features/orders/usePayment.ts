// The payment of a held order. It belongs to the page and not to the form, because the form gives way to a notice while the bank is asked,
// and what the bank has said must outlive that.

import { useQueryClient } from "@tanstack/react-query";
import { client, type Order, unwrapReply } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { cacheOrder } from "../../lib/queryCache";
import { queryKeys } from "../../lib/queryKeys";
import { useSubmitWithKey } from "../../lib/useSubmitWithKey";

export interface Payment {
  submit: (method: string | null) => void;
  /** The bank has the payment and has not answered: nothing is offered to be tried again. */
  isPaying: boolean;
  isRetrying: boolean;
  /** The last card was declined, and the units are still held. */
  isDeclined: boolean;
  error: unknown;
}

export function usePayment(order: Order): Payment {
  const queries = useQueryClient();
  const pay = useSubmitWithKey<Order, { method?: string }>({
    operation: `pay:${order.id}`,
    send: (key, body) =>
      unwrapReply(
        client.POST("/api/v1/orders/{id}/pay", {
          // What costs nothing needs no method.
          body: body as { method: string },
          params: { path: { id: order.id }, header: { "Idempotency-Key": key } },
        }),
      ),
    tries: 6,
    onSuccess: (paid) => cacheOrder(queries, paid),
    onError: () => void queries.invalidateQueries({ queryKey: queryKeys.order(order.id) }),
    onSettled: () => void queries.invalidateQueries({ queryKey: queryKeys.orders }),
  });
  return {
    submit: (method) => pay.submit(method === null ? {} : { method }),
    isPaying: order.status === "pending" && (order.paying === true || pay.isPending),
    isRetrying: pay.isRetrying,
    isDeclined: pay.error instanceof ApiError && pay.error.code === "payment_declined",
    error: pay.error,
  };
}
