// Money is an integer number of minor units with a currency. No code divides it as a float.

import type { components } from "../api/schema";

export type Money = components["schemas"]["Money"];

/** The currencies whose minor unit is not a hundredth, by their number of decimals. */
const DIGITS: Record<number, string> = {
  0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
  3: "BHD IQD JOD KWD LYD OMR TND",
};

/**
 * The number of decimals of a currency in ISO 4217. `Intl` is no source for it: browsers follow the use of cash, and give the
 * forint two decimals or none.
 */
export function currencyDigits(currency: string): number {
  const known = Object.entries(DIGITS).find(([, codes]) => codes.split(" ").includes(currency));
  return known === undefined ? 2 : Number(known[0]);
}

export function formatMoney({ amount, currency }: Money, locale: string): string {
  const digits = currencyDigits(currency);
  const format = new Intl.NumberFormat(locale, {
    style: "currency",
    currency,
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return format.format(`${amount}E-${digits}` as `${number}`);
}

/** The discount against the list price in whole percent, rounded down so that it never overstates. */
export function percentOff(price: Money, list: Money): number {
  if (price.currency !== list.currency || list.amount <= 0 || price.amount >= list.amount) return 0;
  return Math.floor(((list.amount - price.amount) * 100) / list.amount);
}
