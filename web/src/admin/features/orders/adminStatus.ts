// Which text names the status of an order. Pure. An order that is being paid is not unpaid, and one without payment is not paid.

import type { AdminOrder } from "../../../lib/api";
import type { AdminTextKey } from "../../lib/texts";

export function adminStatusKey({ status, paying, paymentRequired }: AdminOrder): AdminTextKey {
  if (status === "pending" && paying) return "orders.status.paying";
  if (status === "confirmed" && paymentRequired === false) return "orders.status.collected";
  return `orders.status.${status}`;
}
