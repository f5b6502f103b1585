import { expect, test } from "vitest";
import { formatPriceInput, parseCount, parsePrice } from "./parseFields";

test("a price is parsed with the decimals of its currency", () => {
  expect(parsePrice("49.90", "EUR", "en")).toBe(4990);
  expect(parsePrice("49.9", "EUR", "en")).toBe(4990);
  expect(parsePrice("49", "EUR", "en")).toBe(4900);
  expect(parsePrice("49.", "EUR", "en")).toBe(4900);
  expect(parsePrice(".5", "EUR", "en")).toBe(50);
  expect(parsePrice("0", "EUR", "en")).toBe(0);
  expect(parsePrice("4999", "JPY", "en")).toBe(4999);
  expect(parsePrice("4,999", "JPY", "en")).toBe(4999);
  expect(parsePrice("4.999", "KWD", "en")).toBe(4999);
  expect(parsePrice("1000000000.00", "EUR", "en")).toBe(100_000_000_000);
});

test("a price is parsed by the rules of the merchant's language", () => {
  expect(parsePrice("49,90", "EUR", "de")).toBe(4990);
  expect(parsePrice("1.234,50 €", "EUR", "de")).toBe(123_450);
  expect(parsePrice("1.234", "EUR", "de")).toBe(123_400);
  expect(parsePrice("1,234.50", "USD", "en")).toBe(123_450);
  expect(parsePrice("$1,234", "USD", "en")).toBe(123_400);
  expect(parsePrice("1’234.50", "CHF", "de-CH")).toBe(123_450);
  expect(parsePrice("1 234,50", "EUR", "fr")).toBe(123_450);
  expect(parsePrice("1,23,456.00", "INR", "en-IN")).toBe(12_345_600);
  expect(parsePrice("٤٩٫٩٠", "EUR", "ar")).toBe(4990);
  expect(parsePrice("٤٩٫٩٠٠", "KWD", "ar-EG")).toBe(49_900);
  // The mark of another language: two digits after it can only be cents.
  expect(parsePrice("49,90", "EUR", "en")).toBe(4990);
  expect(parsePrice("49.90", "EUR", "de")).toBe(4990);
});

test("an ambiguous price gives null", () => {
  const none = [
    "",
    " ",
    "abc",
    "-5",
    "49.999",
    "4.9.9",
    "1.234,567.00",
    "49,,90",
    "1e5",
    "1,2345",
    "1000000000.01",
  ];
  for (const typed of none) expect(parsePrice(typed, "EUR", "en"), typed).toBeNull();
  for (const typed of ["49.90", "4.999", "49,9"]) expect(parsePrice(typed, "JPY", "en"), typed).toBeNull();
});

test("a price in a field is parsed as the same price", () => {
  for (const [currency, locale] of [
    ["EUR", "de"],
    ["EUR", "en"],
    ["JPY", "de"],
    ["KWD", "ar"],
    ["KWD", "en-IN"],
  ] as const) {
    for (const amount of [0, 5, 50, 4990, 1_234_567, 100_000_000_000]) {
      expect(parsePrice(formatPriceInput({ amount, currency }, locale), currency, locale)).toBe(amount);
    }
  }
});

test("a count is a whole number, in the digits of any script", () => {
  expect(parseCount("1000")).toBe(1000);
  expect(parseCount(" 1,000 ")).toBe(1000);
  expect(parseCount("1.000.000")).toBe(1_000_000);
  expect(parseCount("١٠")).toBe(10);
  for (const typed of ["", "1.5", "-1", "1e3", "ten", "1,00"]) expect(parseCount(typed), typed).toBeNull();
});
