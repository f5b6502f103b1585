// Moments as the clock on the merchant's wall shows them, and back. Twice a year that clock skips an hour, or shows one twice.

/** The zone that this browser is in, such as `Europe/Berlin`. */
export function localZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** What the clock of a zone shows at a moment, to the minute, as a `datetime-local` field has it: `2026-11-27T10:00`. */
export function wallClock(momentMs: number, zone: string): string {
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
  const of = (type: string) => parts.find((part) => part.type === type)?.value ?? "";
  return `${of("year").padStart(4, "0")}-${of("month")}-${of("day")}T${of("hour")}:${of("minute")}`;
}

const DAY_MS = 86_400_000;

/** The moments at which a zone's clock shows this: mostly one; none in an hour that is skipped, two in one that comes twice. */
export function momentsAt(shown: string, zone: string): number[] {
  const ifUtc = /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(shown)
    ? Date.parse(`${shown.slice(0, 16)}:00Z`)
    : Number.NaN;
  if (Number.isNaN(ifUtc)) return [];
  // How far the zone is from UTC a day before and a day after: between them it changes at most once.
  const candidates = [-DAY_MS, DAY_MS].map((shift) => {
    const near = ifUtc + shift;
    return ifUtc - (Date.parse(`${wallClock(near, zone)}:00Z`) - near);
  });
  return [...new Set(candidates)]
    .filter((moment) => wallClock(moment, zone) === shown.slice(0, 16))
    .sort((a, b) => a - b);
}

/** The same time of day, on the next day on which that is still to come by at least an hour. */
export function sameTimeLater(momentMs: number, nowMs: number, zone: string): number {
  const time = wallClock(momentMs, zone).slice(10);
  for (let days = 0; days <= 2; days++) {
    const day = wallClock(nowMs + days * DAY_MS, zone).slice(0, 10);
    const found = momentsAt(day + time, zone).find((moment) => moment >= nowMs + 3_600_000);
    if (found !== undefined) return found;
  }
  return nowMs + DAY_MS;
}

/** The zone in words, with its own name: `Central European Standard Time, Europe/Berlin`. */
export function zoneName(zone: string, momentMs: number, locale: string): string {
  const parts = new Intl.DateTimeFormat(locale, { timeZone: zone, timeZoneName: "long" }).formatToParts(
    momentMs,
  );
  const long = parts.find(({ type }) => type === "timeZoneName")?.value ?? zone;
  return long === zone ? zone : `${long} (${zone.replaceAll("_", " ")})`;
}
