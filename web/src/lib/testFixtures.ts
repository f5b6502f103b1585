// Sales, orders and places for unit tests.

import type { Order, Place, Sale } from "./api";

const START = "2026-11-27T09:00:00.000Z";

export function makeSale(change: Partial<Sale> = {}): Sale {
  return {
    id: "s",
    slug: "lamp",
    product: { id: "p", name: "Lamp", description: "" },
    price: { amount: 4900, currency: "EUR" },
    listPrice: { amount: 12900, currency: "EUR" },
    quantity: 10,
    available: 10,
    held: 0,
    sold: 0,
    availability: "available",
    status: "active",
    startsAt: START,
    endsAt: "2026-11-27T10:00:00.000Z",
    limitPerBuyer: 1,
    limitBy: "account",
    requireConfirmedEmail: false,
    admission: { type: "fifo", perSecond: 5, checkoutSeconds: 120, lineOpensSecondsBefore: 60 },
    waiting: 0,
    serverTime: START,
    version: 1,
    ...change,
  };
}

export function makeOrder(status: Order["status"], change: Partial<Order> = {}): Order {
  const price = { amount: 4900, currency: "EUR" };
  return {
    id: `o-${status}`,
    flashSaleId: "s",
    status,
    quantity: 1,
    unitPrice: price,
    total: price,
    createdAt: START,
    updatedAt: START,
    expiresAt: START,
    ...change,
  };
}

export function makePlace(change: Partial<Place> = {}): Place {
  return {
    flashSaleId: "s",
    ticket: 7,
    position: 3,
    ahead: 2,
    status: "waiting",
    availability: "available",
    estimatedWaitSeconds: 10,
    receipt: "7-x",
    ...change,
  };
}
