// Parses numbers and prices that users type, with the digits of any script and the marks of their language. Prices are parsed digit by
// digit, without floats.

import { currencyDigits, type Money } from "../../lib/money";

/** The zeros of the scripts that keyboards have: Arabic, Persian, Devanagari, Bengali, full width. */
const ZEROS = [0x0660, 0x06f0, 0x0966, 0x09e6, 0xff10];
/** The limit of a price, from the domain rules. */
const PRICE_MINOR_MAX = 100_000_000_000;

function toLatinDigits(text: string): string {
  return [...text]
    .map((character) => {
      const code = character.codePointAt(0) ?? 0;
      const zero = ZEROS.find((zero) => code >= zero && code < zero + 10);
      return zero === undefined ? character : String(code - zero);
    })
    .join("");
}

/** Parses a whole number from 0 on, with or without thousands separators; `null` for anything else. */
export function parseCount(text: string): number | null {
  const digits = toLatinDigits(text).trim();
  if (!/^\d{1,3}([.,٬’'\s]\d{3})+$|^\d{1,15}$/.test(digits)) return null;
  return Number(digits.replaceAll(/\D/g, ""));
}

function decimalMark(locale: string): string {
  const parts = new Intl.NumberFormat(locale, { numberingSystem: "latn" }).formatToParts(1.5);
  return parts.find(({ type }) => type === "decimal")?.value ?? ".";
}

/**
 * Parses a price into minor units; `null` if it is ambiguous. The language's decimal mark precedes the minor units, the other mark
 * separates thousands. The other mark counts as a decimal mark if other than three digits follow it.
 */
export function parsePrice(typed: string, currency: string, locale: string): number | null {
  const text = toLatinDigits(typed)
    .replaceAll("٫", decimalMark(locale))
    .replaceAll(/[\s’'٬\p{Currency_Symbol}]/gu, "");
  if (!/^[\d.,]*\d[.,]?$/.test(text)) return null;
  const digits = currencyDigits(currency);
  const parts = splitDecimal(text, digits, locale);
  if (parts === null) return null;
  const [whole, rest] = parts;
  const marks = new Set(whole.match(/[.,]/g));
  // All thousands have the same mark, and three digits follow the last.
  if (marks.size > 1 || (marks.size === 1 && !/^\d{1,3}([.,]\d{2,3})*[.,]\d{3}$/.test(whole))) return null;
  const minor = `${whole.replaceAll(/\D/g, "")}${rest.padEnd(digits, "0")}`.replace(/^0+(?=\d)/, "");
  if (rest.length > digits || minor.length > 12) return null;
  return Number(minor) <= PRICE_MINOR_MAX ? Number(minor) : null;
}

/** The part before the decimal mark with its thousands separators, and the decimals. */
function splitDecimal(text: string, digits: number, locale: string): [string, string] | null {
  const at = Math.max(text.lastIndexOf("."), text.lastIndexOf(","));
  if (at < 0) return [text, ""];
  const mark = text.charAt(at);
  const isSingle = !text.slice(0, at).includes(mark);
  const tail = text.slice(at + 1);
  const isDecimalMark = mark === decimalMark(locale);
  if (!isSingle || (!isDecimalMark && tail.length === 3)) return [text, ""];
  return digits === 0 ? null : [text.slice(0, at), tail];
}

/** A price for an input field: Latin digits, the language's decimal mark, no thousands separators. */
export function formatPriceInput({ amount, currency }: Money, locale: string): string {
  const digits = currencyDigits(currency);
  const text = String(amount).padStart(digits + 1, "0");
  if (digits === 0) return text;
  const mark = decimalMark(locale) === "," ? "," : ".";
  return `${text.slice(0, -digits)}${mark}${text.slice(-digits)}`;
}

/** Counts code points, as the server does. */
export function countCharacters(text: string): number {
  return [...text].length;
}
