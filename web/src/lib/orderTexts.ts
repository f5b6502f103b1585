// Which text says what has become of an order. Pure. A text about money depends on whether there was any: an order that is paid on
// collection, or that is free, is never called paid.

import type { Order } from "./api";
import type { TextKey } from "./i18n";
import { orderPayment } from "./saleTerms";

export function orderTitleKey(order: Order, isPaying: boolean): TextKey {
  if (order.status === "pending" && isPaying) return "stage.paying";
  const payment = orderPayment(order);
  if (order.status === "pending" && payment === "free") return "order.title.pending_free";
  if (order.status === "confirmed" && payment === "collected") return "order.title.confirmed_collected";
  return `order.title.${order.status}`;
}

/** `null` for a pending order, which has no result yet. */
export function orderTextKey(order: Order): TextKey | null {
  if (order.status === "pending") return null;
  const payment = orderPayment(order);
  if ((order.status === "confirmed" || order.status === "refunded") && payment !== "paid") {
    return `order.text.${order.status}_${payment}`;
  }
  return `order.text.${order.status}`;
}

export function orderStatusKey(order: Order): TextKey {
  if (order.status === "pending" && order.paying) return "order.status.paying";
  const payment = orderPayment(order);
  if (order.status === "pending" && payment === "free") return "order.status.pending_free";
  if (order.status === "confirmed" && payment !== "paid") return `order.status.confirmed_${payment}`;
  if (order.status === "refunded" && payment !== "paid") return "order.status.undone";
  return `order.status.${order.status}`;
}
