// What a sale's figures come to, in words: when it opens, how long it runs, how fast its line moves.

import type { Sale } from "../../../lib/api";
import { formatMoney, type Money, percentOff } from "../../../lib/money";
import { formatDateTime, formatRoughDuration } from "../../../lib/time";
import type { AdminKey } from "../../lib/texts";
import type { Read } from "./saleDraft";

type Tell = (key: AdminKey, values?: Record<string, string | number>) => string;

/** The line whose speed is told: a number that one can picture. */
const LINE_LEN = 1_000;
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
] as const;

/** How long, in the two largest units that it fills: `1 day, 3 hours`. */
export function lasting(seconds: number, locale: string): string {
  const first = UNITS.findIndex(([, length]) => seconds >= length);
  if (first < 0)
    return new Intl.NumberFormat(locale, { style: "unit", unit: "second", unitDisplay: "long" }).format(0);
  let left = seconds;
  const parts = UNITS.slice(first, first + 2).flatMap(([unit, length]) => {
    const amount = Math.floor(left / length);
    left -= amount * length;
    const words = new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" }).format(amount);
    return amount === 0 ? [] : [words];
  });
  return new Intl.ListFormat(locale, { type: "conjunction" }).format(parts);
}

/** How long until then: `in 3 days`. */
export function inTime(seconds: number, locale: string): string {
  const [unit, length] = UNITS.find(([, length]) => seconds >= length * 1.5) ?? UNITS[3];
  return new Intl.RelativeTimeFormat(locale, { numeric: "always" }).format(
    Math.round(seconds / length),
    unit,
  );
}

export interface Plan extends Read {
  listPrice: Money | null;
  status: Sale["status"] | null;
}

/** A sentence for each thing that is known by now. */
export function planWords(plan: Plan, nowMs: number, tell: Tell, locale: string): string[] {
  return [
    ...whenWords(plan, nowMs, tell, locale),
    ...whatWords(plan, tell, locale),
    ...howWords(plan, tell, locale),
  ];
}

function whenWords(
  { startsMs, endsMs, fifo, status }: Plan,
  nowMs: number,
  tell: Tell,
  locale: string,
): string[] {
  if (startsMs === null || endsMs === null || endsMs <= startsMs) return [];
  const date = formatDateTime(new Date(startsMs).toISOString(), locale);
  const time = lasting(Math.round((endsMs - startsMs) / 1000), locale);
  const isNew = status === null || status === "upcoming";
  const said: string[] = [];
  if (startsMs > nowMs) {
    said.push(tell("plan.opens", { in: inTime((startsMs - nowMs) / 1000, locale), date, time }));
  } else if (endsMs > nowMs) {
    // In whole minutes: words that change each second are no words.
    const leftS = Math.ceil((endsMs - nowMs) / 1000);
    const left = lasting(leftS < 60 ? leftS : leftS - (leftS % 60), locale);
    said.push(isNew ? tell("plan.opens_now", { time: left }) : tell("plan.opened", { date, time, left }));
  }
  const beforeS = fifo?.lineOpensSecondsBefore ?? 0;
  if (startsMs > nowMs && beforeS > 0) {
    const isOpen = startsMs - beforeS * 1000 <= nowMs;
    said.push(isOpen ? tell("plan.line_now") : tell("plan.line_before", { time: lasting(beforeS, locale) }));
  }
  return said;
}

function whatWords(
  { price, listPrice, quantity, limitPerBuyer, holdS }: Plan,
  tell: Tell,
  locale: string,
): string[] {
  const said: string[] = [];
  if (quantity !== null && quantity > 0 && price !== null) {
    const off = listPrice === null ? 0 : percentOff(price, listPrice);
    const money = formatMoney(price, locale);
    said.push(
      tell(off > 0 ? "plan.units_off" : "plan.units", { count: quantity, price: money, percent: off }),
    );
  }
  if (limitPerBuyer !== null && limitPerBuyer > 0) said.push(tell("plan.limit", { count: limitPerBuyer }));
  if (holdS === 0) said.push(tell("plan.at_once"));
  else if (holdS !== null) said.push(tell("plan.hold", { time: lasting(holdS, locale) }));
  return said;
}

function howWords({ fifo }: Plan, tell: Tell, locale: string): string[] {
  if (fifo === null) return [tell("plan.open")];
  const said: string[] = [];
  if (fifo.perSecond !== null && fifo.perSecond > 0) {
    const time = formatRoughDuration(LINE_LEN / fifo.perSecond, locale);
    said.push(tell("plan.pace", { count: fifo.perSecond, line: LINE_LEN, time }));
  }
  if (fifo.checkoutSeconds !== null && fifo.checkoutSeconds > 0) {
    said.push(tell("plan.checkout", { time: lasting(fifo.checkoutSeconds, locale) }));
  }
  if (fifo.extensionSeconds !== null && fifo.extensionSeconds > 0) {
    said.push(tell("plan.extension", { time: lasting(fifo.extensionSeconds, locale) }));
  }
  return said;
}
