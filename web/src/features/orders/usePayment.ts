// The payment of a held order. It belongs to the page and not to the form, because the form gives way to a notice while the bank is asked,
// and what the bank has said must outlive that.

import { useQueryClient } from "@tanstack/react-query";
import { client, type Order, unwrapReply } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { locale } from "../../lib/i18n";
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

/** `isReturning`: the buyer comes from the bank's page, and its answer is not here yet. */
export function usePayment(order: Order, isReturning: boolean): Payment {
  const queries = useQueryClient();
  const pay = useSubmitWithKey<Order, { method?: string }>({
    operation: `pay:${order.id}`,
    send: (key, body) =>
      unwrapReply(
        client.POST("/api/v1/orders/{id}/pay", {
          // What costs nothing needs no method.
          body: body as { method: string },
          params: { path: { id: order.id }, header: { "Idempotency-Key": key } },
          // The bank's page is in the language of this one.
          headers: { "accept-language": locale() },
        }),
      ),
    tries: 6,
    onSuccess: (paid) => {
      cacheOrder(queries, paid);
      // The buyer pays on a page of the bank, which leads back to this one.
      if (paid.nextAction) location.assign(paid.nextAction.url);
    },
    onError: () => void queries.invalidateQueries({ queryKey: queryKeys.order(order.id) }),
    onSettled: () => void queries.invalidateQueries({ queryKey: queryKeys.orders }),
  });
  return {
    submit: (method) => pay.submit(method === null ? {} : { method }),
    isPaying: order.status === "pending" && (order.paying === true || pay.isPending || isReturning),
    isRetrying: pay.isRetrying,
    isDeclined: pay.error instanceof ApiError && pay.error.code === "payment_declined",
    error: pay.error,
  };
}
