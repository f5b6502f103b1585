// Money is an integer of minor units with its currency, here as everywhere; it is never divided as a float.

import type { components } from "../api/schema";

export type Money = components["schemas"]["Money"];

/** The amount in the words of a language; how many minor units a currency has is what ISO 4217 says. */
export function formatMoney({ amount, currency }: Money, language: string): string {
  const format = new Intl.NumberFormat(language, { style: "currency", currency });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  return format.format(`${amount}E-${digits}` as `${number}`);
}

/** How much less than the list price, in whole percent, rounded down: no price is made to look lower than it is. */
export function percentOff(price: Money, list: Money): number {
  if (price.currency !== list.currency || list.amount <= 0 || price.amount >= list.amount) return 0;
  return Math.floor(((list.amount - price.amount) * 100) / list.amount);
}
