import { expect, test } from "vitest";
import { isSlug, parseCount, parsePrice, suggestSlug, typedPrice } from "./typed";

test("a price is read with the digits of its currency", () => {
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

test("a price is read as it is written where the merchant lives", () => {
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
  // Somebody writes the other way than the page's language; two digits can only be cents.
  expect(parsePrice("49,90", "EUR", "en")).toBe(4990);
  expect(parsePrice("49.90", "EUR", "de")).toBe(4990);
});

test("a price that would have to be guessed is none", () => {
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

test("a price that is shown in a field is read again as the same", () => {
  for (const [currency, locale] of [
    ["EUR", "de"],
    ["EUR", "en"],
    ["JPY", "de"],
    ["KWD", "ar"],
    ["KWD", "en-IN"],
  ] as const) {
    for (const amount of [0, 5, 50, 4990, 1_234_567, 100_000_000_000]) {
      expect(parsePrice(typedPrice({ amount, currency }, locale), currency, locale)).toBe(amount);
    }
  }
});

test("a count is whole, in any digits", () => {
  expect(parseCount("1000")).toBe(1000);
  expect(parseCount(" 1,000 ")).toBe(1000);
  expect(parseCount("1.000.000")).toBe(1_000_000);
  expect(parseCount("١٠")).toBe(10);
  for (const typed of ["", "1.5", "-1", "1e3", "ten", "1,00"]) expect(parseCount(typed), typed).toBeNull();
});

test("a name for addresses says what is sold, is free, and is never an id", () => {
  const none = new Set<string>();
  expect(suggestSlug("The  Big: Drop!", none)).toBe("the-big-drop");
  expect(suggestSlug("Größe Ça va", none)).toBe("groesse-ca-va");
  expect(suggestSlug("日本", none)).toBe("sale");
  expect(suggestSlug("<script>alert(1)</script>", none)).toBe("script-alert-1-script");
  expect(suggestSlug("Lamp", new Set(["lamp", "lamp-2"]))).toBe("lamp-3");
  for (const name of ["0".repeat(32), "x".repeat(500), "0190f3a4-0000-7000-8000-000000000000", "--"]) {
    expect(isSlug(suggestSlug(name, none)), name).toBe(true);
  }
  for (const bad of ["", "A", "a b", "a".repeat(65), "0".repeat(32)]) expect(isSlug(bad), bad).toBe(false);
});
