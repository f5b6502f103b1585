// What people type into fields: digits of any script, prices as they are written where they live. Prices are read digit by
// digit, so no float ever stands between what was typed and what is charged.

import { currencyDigits, type Money } from "../../lib/money";

/** The zeros of the scripts that browsers' keyboards write digits in: Arabic, Persian, Devanagari, Bengali, full width. */
const ZEROS = [0x0660, 0x06f0, 0x0966, 0x09e6, 0xff10];
/** Minor units of a price at most, as the law has it. */
const PRICE_MINOR_MAX = 100_000_000_000;

function latin(text: string): string {
  return [...text]
    .map((character) => {
      const code = character.codePointAt(0) ?? 0;
      const zero = ZEROS.find((zero) => code >= zero && code < zero + 10);
      return zero === undefined ? character : String(code - zero);
    })
    .join("");
}

/** A whole number from 0 on, with or without separators between its thousands; `null` for anything else. */
export function parseCount(typed: string): number | null {
  const text = latin(typed).trim();
  if (!/^\d{1,3}([.,٬’'\s]\d{3})+$|^\d{1,15}$/.test(text)) return null;
  return Number(text.replaceAll(/\D/g, ""));
}

/** What stands between the whole and the rest of a number in a language. */
function decimalMark(locale: string): string {
  const parts = new Intl.NumberFormat(locale, { numberingSystem: "latn" }).formatToParts(1.5);
  return parts.find(({ type }) => type === "decimal")?.value ?? ".";
}

/**
 * A price in minor units; `null` when it cannot be read without guessing. The language's own mark begins the minor units, the other
 * one stands between thousands; where no three digits follow it, it can only be meant for the former.
 */
export function parsePrice(typed: string, currency: string, locale: string): number | null {
  const text = latin(typed)
    .replaceAll("٫", decimalMark(locale))
    .replaceAll(/[\s’'٬\p{Currency_Symbol}]/gu, "");
  if (!/^[\d.,]*\d[.,]?$/.test(text)) return null;
  const digits = currencyDigits(currency);
  const parts = split(text, digits, locale);
  if (parts === null) return null;
  const [whole, rest] = parts;
  const marks = new Set(whole.match(/[.,]/g));
  // One mark for all thousands, and three digits after the last.
  if (marks.size > 1 || (marks.size === 1 && !/^\d{1,3}([.,]\d{2,3})*[.,]\d{3}$/.test(whole))) return null;
  const minor = `${whole.replaceAll(/\D/g, "")}${rest.padEnd(digits, "0")}`.replace(/^0+(?=\d)/, "");
  if (rest.length > digits || minor.length > 12) return null;
  return Number(minor) <= PRICE_MINOR_MAX ? Number(minor) : null;
}

/** The whole part with its thousands, and the digits after the decimal mark. */
function split(text: string, digits: number, locale: string): [string, string] | null {
  const at = Math.max(text.lastIndexOf("."), text.lastIndexOf(","));
  if (at < 0) return [text, ""];
  const mark = text.charAt(at);
  const isOnly = !text.slice(0, at).includes(mark);
  const tail = text.slice(at + 1);
  const isOurs = mark === decimalMark(locale);
  if (!isOnly || (!isOurs && tail.length === 3)) return [text, ""];
  return digits === 0 ? null : [text.slice(0, at), tail];
}

/** A price as it would be typed: Latin digits with the language's decimal mark, no thousands. */
export function typedPrice({ amount, currency }: Money, locale: string): string {
  const digits = currencyDigits(currency);
  const text = String(amount).padStart(digits + 1, "0");
  if (digits === 0) return text;
  const mark = decimalMark(locale) === "," ? "," : ".";
  return `${text.slice(0, -digits)}${mark}${text.slice(-digits)}`;
}

const SLUG_LEN_MAX = 52;
const ID = /^(?:[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** Whether a sale can have this name in addresses; what looks like an id would be taken for one. */
export function isSlug(text: string): boolean {
  return /^[a-z0-9-]{1,64}$/.test(text) && !ID.test(text);
}

/** A name for addresses that says what is sold, and that no other sale has. */
export function suggestSlug(name: string, taken: ReadonlySet<string>): string {
  const plain = name
    .toLowerCase()
    .replaceAll("ß", "ss")
    .replaceAll("ä", "ae")
    .replaceAll("ö", "oe")
    .replaceAll("ü", "ue")
    .normalize("NFKD")
    .replaceAll(/\p{Mark}/gu, "");
  const cut = plain
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replace(/^-/, "")
    .slice(0, SLUG_LEN_MAX);
  const made = cut.replace(/-$/, "") || "sale";
  const slug = isSlug(made) ? made : `sale-${made}`;
  for (let n = 2; taken.has(slug) && n < 1_000; n++) {
    if (!taken.has(`${slug}-${n}`)) return `${slug}-${n}`;
  }
  return slug;
}

/** How long text is for people: an emoji of several code units is one character, as the server counts. */
export function lengthOf(text: string): number {
  return [...text].length;
}
