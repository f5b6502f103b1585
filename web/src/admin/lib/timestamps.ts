// Timestamps of records, to the second, how far away a moment is, and days of the reader's time zone.

/** In seconds, the longest first. */
export const TIME_UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
] as const;

export function formatTimestamp(iso: string, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(iso));
}

/** A moment that is shown beside another one: it names the day only when the two days differ. */
export function formatTimeNear(iso: string, otherIso: string, locale: string): string {
  const [at, other] = [new Date(iso), new Date(otherIso)];
  if (at.toDateString() !== other.toDateString()) return formatTimestamp(iso, locale);
  return new Intl.DateTimeFormat(locale, { timeStyle: "medium" }).format(at);
}

/** `in 3 days`. */
export function formatTimeUntil(seconds: number, locale: string): string {
  const [unit, length] = TIME_UNITS.find(([, length]) => seconds >= length * 1.5) ?? TIME_UNITS[3];
  return new Intl.RelativeTimeFormat(locale, { numeric: "always" }).format(
    Math.round(seconds / length),
    unit,
  );
}

/** The start of a day such as `2026-11-27`, plus `plusDays`, in the reader's time zone; null if it is not a date. */
export function startOfDay(day: string, plusDays = 0): string | null {
  const parts = /^(\d{4})-(\d\d)-(\d\d)$/.exec(day);
  if (parts === null) return null;
  const [year, month, date] = parts.slice(1).map(Number) as [number, number, number];
  const start = new Date(year, month - 1, date + plusDays);
  const isReal = new Date(year, month - 1, date).getDate() === date && month >= 1 && month <= 12;
  return isReal && start.getTime() >= 0 && year <= 9998 ? start.toISOString() : null;
}
