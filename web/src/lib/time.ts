// How long and when, in words and digits.

/** The parts of a time that is left, rounded up: a timer shows 0 only when nothing is left. */
export function partsLeft(leftMs: number): { days: number; hours: number; minutes: number; seconds: number } {
  const all = Math.max(0, Math.ceil(leftMs / 1000));
  return {
    days: Math.floor(all / 86_400),
    hours: Math.floor(all / 3_600) % 24,
    minutes: Math.floor(all / 60) % 60,
    seconds: all % 60,
  };
}

/** `4:07`, `1:00:00`, in the digits of the language. */
export function clockFace(leftMs: number, language: string): string {
  const { days, hours, minutes, seconds } = partsLeft(leftMs);
  const allHours = days * 24 + hours;
  const two = new Intl.NumberFormat(language, { minimumIntegerDigits: 2, useGrouping: false });
  const one = new Intl.NumberFormat(language, { useGrouping: false });
  return allHours > 0
    ? `${one.format(allHours)}:${two.format(minutes)}:${two.format(seconds)}`
    : `${one.format(minutes)}:${two.format(seconds)}`;
}

/** A wait in words that do not pretend to be exact: seconds in tens, minutes whole, hours in minutes of five. */
export function roughly(seconds: number): { amount: number; unit: "second" | "minute" | "hour" } {
  if (seconds < 55) return { amount: Math.max(10, Math.ceil(seconds / 10) * 10), unit: "second" };
  if (seconds < 5_400) return { amount: Math.max(1, Math.round(seconds / 60)), unit: "minute" };
  return { amount: Math.round(seconds / 1_800) / 2, unit: "hour" };
}

export function roughlyIn(seconds: number, language: string): string {
  const { amount, unit } = roughly(seconds);
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(amount);
}

/** When it is said aloud how much is left, in seconds. */
const SAID_AT_S = [300, 120, 60, 30, 10];

/** How much is said to be left, in seconds: near each mark the mark, so that a timer speaks a few times and never wrongly. */
export function saidLeft(leftMs: number): number | null {
  const leftS = Math.ceil(leftMs / 1000);
  return SAID_AT_S.find((mark) => leftS <= mark && leftS > mark * 0.8) ?? null;
}

export function formatMoment(iso: string, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "short" }).format(new Date(iso));
}

export function formatShort(iso: string, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
}

/** From when to when, without saying twice what both have in common. */
export function formatPeriod(fromIso: string, toIso: string, language: string): string {
  const format = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  const [from, to] = [new Date(fromIso), new Date(toIso)];
  return to < from ? format.format(from) : format.formatRange(from, to);
}
