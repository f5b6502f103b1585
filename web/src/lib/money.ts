// Money is an integer of minor units with its currency, here as everywhere; it is never divided as a float.

import type { components } from "../api/schema";

export type Money = components["schemas"]["Money"];

/** The currencies whose minor unit is not a hundredth, by the digits after the point. */
const DIGITS: Record<number, string> = {
  0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
  3: "BHD IQD JOD KWD LYD OMR TND",
};

/**
 * How many digits of a currency are minor units, as ISO 4217 says. Not what browsers say: they go by how cash is used, so
 * that a forint has two digits in one and none in another.
 */
export function currencyDigits(currency: string): number {
  const known = Object.entries(DIGITS).find(([, codes]) => codes.split(" ").includes(currency));
  return known === undefined ? 2 : Number(known[0]);
}

/** The amount in the words of a language. */
export function formatMoney({ amount, currency }: Money, language: string): string {
  const digits = currencyDigits(currency);
  const format = new Intl.NumberFormat(language, {
    style: "currency",
    currency,
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return format.format(`${amount}E-${digits}` as `${number}`);
}

/** How much less than the list price, in whole percent, rounded down: no price is made to look lower than it is. */
export function percentOff(price: Money, list: Money): number {
  if (price.currency !== list.currency || list.amount <= 0 || price.amount >= list.amount) return 0;
  return Math.floor(((list.amount - price.amount) * 100) / list.amount);
}
