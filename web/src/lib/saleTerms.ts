// What a purchase costs and how it is paid, as the texts of the pages distinguish it. Pure.

import type { Order, Sale } from "./api";

/**
 * - `paid`: the units are held until they are paid.
 * - `collected`: the order is final at once, and is paid on collection.
 * - `free`: there is nothing to pay.
 */
export type PaymentKind = "paid" | "collected" | "free";

export function salePayment({ price, payment, holdSeconds }: Sale): PaymentKind {
  if (price.amount === 0) return "free";
  return payment === "none" || holdSeconds === 0 ? "collected" : "paid";
}

export function orderPayment({ total, paymentRequired, payment }: Order): PaymentKind {
  if (total.amount === 0) return "free";
  // An order with a payment was paid, whatever its sale says.
  return paymentRequired === false && !payment ? "collected" : "paid";
}

/** Of the units that one purchase would take. Amounts are integers in minor units. */
export function totalOf({ price }: Pick<Sale, "price">, quantity: number): Sale["price"] {
  return { ...price, amount: price.amount * quantity };
}
