// Moments to the second, as records are read; and days of the reader's own calendar as moments.

export function formatExact(iso: string, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(iso));
}

/** A moment told beside another one: the day is said only where it is another. */
export function formatBeside(iso: string, besideIso: string, locale: string): string {
  const [at, beside] = [new Date(iso), new Date(besideIso)];
  if (at.toDateString() !== beside.toDateString()) return formatExact(iso, locale);
  return new Intl.DateTimeFormat(locale, { timeStyle: "medium" }).format(at);
}

/** The first moment of a day `2026-11-27` plus so many days, where the reader is; null for what is no day. */
export function startOfDay(day: string, plusDays = 0): string | null {
  const parts = /^(\d{4})-(\d\d)-(\d\d)$/.exec(day);
  if (parts === null) return null;
  const [year, month, date] = parts.slice(1).map(Number) as [number, number, number];
  const start = new Date(year, month - 1, date + plusDays);
  const isReal = new Date(year, month - 1, date).getDate() === date && month >= 1 && month <= 12;
  return isReal && start.getTime() >= 0 && year <= 9998 ? start.toISOString() : null;
}
