// Formats a part of a whole as a percentage.

import { locale } from "../../../lib/i18n";

export function formatShare(part: number, whole: number): string {
  const format = new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 0 });
  return format.format(wholePercent(part, whole) / 100);
}

/** A whole percentage that is 0 or 100 only if the share is exactly that. */
export function wholePercent(part: number, whole: number): number {
  if (whole <= 0) return 0;
  const exact = (part / whole) * 100;
  if (part > 0 && exact < 1) return 1;
  if (part < whole && exact > 99) return 99;
  return Math.round(exact);
}
