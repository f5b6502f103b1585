import { expect, test } from "vitest";
import en from "../texts/en.json";
import { orderStatusKey, orderTextKey, orderTitleKey } from "./orderTexts";
import { makeOrder as order } from "./testFixtures";

const STATUSES = ["pending", "confirmed", "expired", "cancelled", "declined", "refunded"] as const;
const KINDS = [
  { paymentRequired: true },
  { paymentRequired: false },
  { total: { amount: 0, currency: "EUR" } },
  { paying: true },
];
const textOf = (key: string | null) => (key === null ? "" : String(en[key as keyof typeof en]));

test("every state of every kind of order has its texts", () => {
  for (const status of STATUSES) {
    for (const kind of KINDS) {
      const one = order(status, kind);
      const keys = [
        orderTitleKey(one, one.paying ?? false),
        orderStatusKey(one),
        orderTextKey(one) ?? "loading",
      ];
      for (const key of keys) expect(en, `${status} ${key}`).toHaveProperty([key]);
    }
  }
});

test("an order that nobody has paid is never called paid, and no money is on its way back", () => {
  for (const kind of [{ paymentRequired: false }, { total: { amount: 0, currency: "EUR" } }]) {
    for (const status of ["confirmed", "refunded"] as const) {
      const one = order(status, kind);
      const texts = [orderTitleKey(one, false), orderStatusKey(one), orderTextKey(one)].map(textOf).join(" ");
      expect(texts).not.toMatch(/(?<!not )\bpaid\b(?! on)|your payment|your money/i);
    }
  }
  expect(textOf(orderStatusKey(order("confirmed", { paymentRequired: false })))).toBe(
    "To be paid on collection",
  );
});

test("an order that is being paid waits for the bank, and is not called expired or unpaid", () => {
  const paying = order("pending", { paying: true });
  expect(orderTitleKey(paying, true)).toBe("stage.paying");
  expect(orderStatusKey(paying)).toBe("order.status.paying");
  expect(orderTextKey(paying)).toBeNull();
});
