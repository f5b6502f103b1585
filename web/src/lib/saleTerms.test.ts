import { expect, test } from "vitest";
import { orderPayment, salePayment, totalOf } from "./saleTerms";
import { makeOrder as order, makeSale as sale } from "./testFixtures";

const FREE = { amount: 0, currency: "EUR" };
const PAYMENT = {
  id: "p",
  amount: { amount: 4900, currency: "EUR" },
  refunded: { amount: 0, currency: "EUR" },
  method: "card",
  status: "captured",
};

test("a sale is paid, collected or free; a price of nothing is free whatever the payment", () => {
  expect(salePayment(sale())).toBe("paid");
  expect(salePayment(sale({ payment: "required", holdSeconds: 300 }))).toBe("paid");
  expect(salePayment(sale({ payment: "none", holdSeconds: 0 }))).toBe("collected");
  expect(salePayment(sale({ holdSeconds: 0 }))).toBe("collected");
  expect(salePayment(sale({ price: FREE }))).toBe("free");
  expect(salePayment(sale({ price: FREE, payment: "none" }))).toBe("free");
});

test("an order without a payment is not called paid, and one with a payment is", () => {
  expect(orderPayment(order("confirmed"))).toBe("paid");
  expect(orderPayment(order("confirmed", { paymentRequired: false }))).toBe("collected");
  expect(orderPayment(order("confirmed", { paymentRequired: false, payment: PAYMENT }))).toBe("paid");
  expect(orderPayment(order("pending", { total: FREE }))).toBe("free");
});

test("the total of several units is exact", () => {
  expect(totalOf(sale(), 3)).toEqual({ amount: 14_700, currency: "EUR" });
});
