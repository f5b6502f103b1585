import { expect, test } from "vitest";
import type { AdminOrder } from "../../../lib/api";
import { adminStatusKey } from "./adminStatus";

const key = (order: Partial<AdminOrder>) => adminStatusKey(order as AdminOrder);

test("an order that is being paid is not unpaid, and one without payment is not paid", () => {
  expect(key({ status: "pending" })).toBe("orders.status.pending");
  expect(key({ status: "pending", paying: true })).toBe("orders.status.paying");
  expect(key({ status: "confirmed", paying: false })).toBe("orders.status.confirmed");
  expect(key({ status: "confirmed", paymentRequired: false })).toBe("orders.status.collected");
  expect(key({ status: "refunded", paymentRequired: false })).toBe("orders.status.refunded");
});
