// Formats durations and moments.

/** Splits the time that is left, rounded up to a second, so that a countdown shows 0 only when no time is left. */
export function splitDuration(leftMs: number): {
  days: number;
  hours: number;
  minutes: number;
  seconds: number;
} {
  const all = Math.max(0, Math.ceil(leftMs / 1000));
  return {
    days: Math.floor(all / 86_400),
    hours: Math.floor(all / 3_600) % 24,
    minutes: Math.floor(all / 60) % 60,
    seconds: all % 60,
  };
}

/** The parts of a countdown, so that a narrow screen can break it between them: `4:07`, `1:00:00`, or `3 days` and `0:59`. */
export function countdownParts(leftMs: number, locale: string): string[] {
  const { days, hours, minutes, seconds } = splitDuration(leftMs);
  const two = new Intl.NumberFormat(locale, { minimumIntegerDigits: 2, useGrouping: false });
  const one = new Intl.NumberFormat(locale, { useGrouping: false });
  if (days > 0) {
    const unit = new Intl.NumberFormat(locale, { style: "unit", unit: "day", unitDisplay: "long" });
    return [unit.format(days), `${one.format(hours)}:${two.format(minutes)}`];
  }
  return hours > 0
    ? [`${one.format(hours)}:${two.format(minutes)}:${two.format(seconds)}`]
    : [`${one.format(minutes)}:${two.format(seconds)}`];
}

/** `4:07`, `1:00:00`, or `3 days 0:59` in hours and minutes, in the digits of the locale. */
export function formatCountdown(leftMs: number, locale: string): string {
  return countdownParts(leftMs, locale).join(" ");
}

/** Rounds an estimate: to 10 seconds, to minutes, from 90 minutes on to half hours. */
export function roundDuration(seconds: number): { amount: number; unit: "second" | "minute" | "hour" } {
  if (seconds < 55) return { amount: Math.max(10, Math.ceil(seconds / 10) * 10), unit: "second" };
  if (seconds < 5_400) return { amount: Math.max(1, Math.round(seconds / 60)), unit: "minute" };
  return { amount: Math.round(seconds / 1_800) / 2, unit: "hour" };
}

export function formatRoughDuration(seconds: number, locale: string): string {
  const { amount, unit } = roundDuration(seconds);
  return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" }).format(amount);
}

/** Screen readers announce the time that is left at these marks. */
const ANNOUNCED_AT_S = [300, 120, 60, 30, 10];

/** The mark to announce, in seconds, while 80 to 100 % of it is left; else `null`. So a countdown is announced a few times only. */
export function announcedSeconds(leftMs: number): number | null {
  const leftS = Math.ceil(leftMs / 1000);
  return ANNOUNCED_AT_S.find((mark) => leftS <= mark && leftS > mark * 0.8) ?? null;
}

/** With the name of the time zone: a buyer on a journey, or one who tells a friend, must not have to guess it. */
export function formatFullDateTime(iso: string, locale: string): string {
  return new Intl.DateTimeFormat(locale, {
    ...{ weekday: "long", day: "numeric", month: "long", year: "numeric" },
    ...{ hour: "numeric", minute: "2-digit", timeZoneName: "short" },
  } as const).format(new Date(iso));
}

/** Like `formatDateTime`, with the name of the time zone. */
export function formatZonedDateTime(iso: string, locale: string): string {
  return new Intl.DateTimeFormat(locale, {
    ...{ day: "numeric", month: "short", year: "numeric" },
    ...{ hour: "numeric", minute: "2-digit", timeZoneName: "short" },
  } as const).format(new Date(iso));
}

/** `11:47`, or with the date when it was on another day. */
export function formatTimeOfDay(iso: string, nowMs: number | null, locale: string): string {
  const moment = new Date(iso);
  const isToday = nowMs !== null && new Date(nowMs).toDateString() === moment.toDateString();
  return isToday
    ? new Intl.DateTimeFormat(locale, { timeStyle: "short" }).format(moment)
    : formatDateTime(iso, locale);
}

export function formatDateTime(iso: string, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
}

/** A period, without repeating the parts that both moments share. */
export function formatPeriod(fromIso: string, toIso: string, locale: string): string {
  const format = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  const [from, to] = [new Date(fromIso), new Date(toIso)];
  return to < from ? format.format(from) : format.formatRange(from, to);
}
