import { expect, test } from "vitest";
import { formatMoney, percentOff } from "./money";

const plain = (text: string) => text.replaceAll(/\s/g, " ");

test("a price has the decimals of its currency", () => {
  expect(formatMoney({ amount: 4999, currency: "EUR" }, "en")).toBe("€49.99");
  expect(plain(formatMoney({ amount: 4999, currency: "EUR" }, "de"))).toBe("49,99 €");
  expect(formatMoney({ amount: 4999, currency: "JPY" }, "en")).toBe("¥4,999");
  expect(plain(formatMoney({ amount: 4999, currency: "KWD" }, "en"))).toBe("KWD 4.999");
  expect(plain(formatMoney({ amount: 499900, currency: "HUF" }, "en"))).toBe("HUF 4,999.00");
});

test("an amount beyond the precision of floats is exact", () => {
  expect(formatMoney({ amount: 9007199254740991, currency: "USD" }, "en")).toBe("$90,071,992,547,409.91");
});

test("a discount is never rounded up", () => {
  const eur = (amount: number) => ({ amount, currency: "EUR" });
  expect(percentOff(eur(4900), eur(12900))).toBe(62);
  expect(percentOff(eur(4999), eur(5000))).toBe(0);
  expect(percentOff(eur(6000), eur(5000))).toBe(0);
  expect(percentOff(eur(0), eur(0))).toBe(0);
});
