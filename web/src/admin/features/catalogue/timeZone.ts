// Converts between moments and the local time of a time zone. Twice a year local time skips an hour or repeats one.

/** The time zone of the browser, such as `Europe/Berlin`. */
export function localZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** The local time to the minute, as a `datetime-local` field has it: `2026-11-27T10:00`. */
export function toLocalTime(momentMs: number, zone: string): string {
  const parts = new Intl.DateTimeFormat("en", {
    timeZone: zone,
    calendar: "gregory",
    numberingSystem: "latn",
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
  }).formatToParts(momentMs);
  const part = (type: string) => parts.find((each) => each.type === type)?.value ?? "";
  return `${part("year").padStart(4, "0")}-${part("month")}-${part("day")}T${part("hour")}:${part("minute")}`;
}

const DAY_MS = 86_400_000;

/** The moments with this local time: mostly one; none in a skipped hour, two in a repeated one. */
export function fromLocalTime(local: string, zone: string): number[] {
  const ifUtc = /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(local)
    ? Date.parse(`${local.slice(0, 16)}:00Z`)
    : Number.NaN;
  if (Number.isNaN(ifUtc)) return [];
  // The offset from UTC a day before and a day after; it changes at most once between them.
  const candidates = [-DAY_MS, DAY_MS].map((shift) => {
    const nearby = ifUtc + shift;
    return ifUtc - (Date.parse(`${toLocalTime(nearby, zone)}:00Z`) - nearby);
  });
  return [...new Set(candidates)]
    .filter((moment) => toLocalTime(moment, zone) === local.slice(0, 16))
    .sort((a, b) => a - b);
}

/** The next moment with the same local time of day that is at least an hour away. */
export function nextSameTime(momentMs: number, nowMs: number, zone: string): number {
  const time = toLocalTime(momentMs, zone).slice(10);
  for (let days = 0; days <= 2; days++) {
    const day = toLocalTime(nowMs + days * DAY_MS, zone).slice(0, 10);
    const found = fromLocalTime(day + time, zone).find((moment) => moment >= nowMs + 3_600_000);
    if (found !== undefined) return found;
  }
  return nowMs + DAY_MS;
}

/** `Central European Standard Time (Europe/Berlin)`. */
export function describeZone(zone: string, momentMs: number, locale: string): string {
  const parts = new Intl.DateTimeFormat(locale, { timeZone: zone, timeZoneName: "long" }).formatToParts(
    momentMs,
  );
  const long = parts.find(({ type }) => type === "timeZoneName")?.value ?? zone;
  return long === zone ? zone : `${long} (${zone.replaceAll("_", " ")})`;
}
