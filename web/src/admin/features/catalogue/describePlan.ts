// Describes the plan of a sale in sentences: when it opens, how long it runs, how fast its line moves.

import type { Sale } from "../../../lib/api";
import { formatMoney, type Money, percentOff } from "../../../lib/money";
import { formatDateTime, formatRoughDuration } from "../../../lib/time";
import type { AdminTextKey } from "../../lib/texts";
import { formatTimeUntil, TIME_UNITS } from "../../lib/timestamps";
import type { ParsedSale } from "./saleDraft";

type Translate = (key: AdminTextKey, values?: Record<string, string | number>) => string;

/** The length of the line in the sentence about its speed. */
const EXAMPLE_LINE_LEN = 1_000;
/** A duration in its two largest units: `1 day and 3 hours`. */
export function formatLongDuration(seconds: number, locale: string): string {
  const first = TIME_UNITS.findIndex(([, length]) => seconds >= length);
  if (first < 0)
    return new Intl.NumberFormat(locale, { style: "unit", unit: "second", unitDisplay: "long" }).format(0);
  let left = seconds;
  const parts = TIME_UNITS.slice(first, first + 2).flatMap(([unit, length]) => {
    const amount = Math.floor(left / length);
    left -= amount * length;
    const formatted = new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" }).format(
      amount,
    );
    return amount === 0 ? [] : [formatted];
  });
  return new Intl.ListFormat(locale, { type: "conjunction" }).format(parts);
}

export interface SalePlan extends ParsedSale {
  listPrice: Money | null;
  status: Sale["status"] | null;
}

/** The sentences for all fields that have valid values. */
export function describePlan(plan: SalePlan, nowMs: number, translate: Translate, locale: string): string[] {
  return [
    ...describeTiming(plan, nowMs, translate, locale),
    ...describeUnits(plan, translate, locale),
    ...describeAdmission(plan, translate, locale),
  ];
}

function describeTiming(
  { startsMs, endsMs, fifo, status }: SalePlan,
  nowMs: number,
  translate: Translate,
  locale: string,
): string[] {
  if (startsMs === null || endsMs === null || endsMs <= startsMs) return [];
  const date = formatDateTime(new Date(startsMs).toISOString(), locale);
  const time = formatLongDuration(Math.round((endsMs - startsMs) / 1000), locale);
  const isNew = status === null || status === "upcoming";
  const sentences: string[] = [];
  if (startsMs > nowMs) {
    sentences.push(
      translate("plan.opens", { in: formatTimeUntil((startsMs - nowMs) / 1000, locale), date, time }),
    );
  } else if (endsMs > nowMs) {
    // In whole minutes, so that the text does not change each second.
    const leftS = Math.ceil((endsMs - nowMs) / 1000);
    const left = formatLongDuration(leftS < 60 ? leftS : leftS - (leftS % 60), locale);
    sentences.push(
      isNew ? translate("plan.opens_now", { time: left }) : translate("plan.opened", { date, time, left }),
    );
  }
  const beforeS = fifo?.lineOpensSecondsBefore ?? 0;
  if (startsMs > nowMs && beforeS > 0) {
    const isOpen = startsMs - beforeS * 1000 <= nowMs;
    sentences.push(
      isOpen
        ? translate("plan.line_now")
        : translate("plan.line_before", { time: formatLongDuration(beforeS, locale) }),
    );
  }
  return sentences;
}

function describeUnits(
  { price, listPrice, quantity, limitPerBuyer, holdS }: SalePlan,
  translate: Translate,
  locale: string,
): string[] {
  const sentences: string[] = [];
  if (quantity !== null && quantity > 0 && price !== null) {
    const off = listPrice === null ? 0 : percentOff(price, listPrice);
    const money = formatMoney(price, locale);
    sentences.push(
      translate(off > 0 ? "plan.units_off" : "plan.units", { count: quantity, price: money, percent: off }),
    );
  }
  if (limitPerBuyer !== null && limitPerBuyer > 0)
    sentences.push(translate("plan.limit", { count: limitPerBuyer }));
  if (holdS === 0) sentences.push(translate("plan.at_once"));
  else if (holdS !== null)
    sentences.push(translate("plan.hold", { time: formatLongDuration(holdS, locale) }));
  return sentences;
}

function describeAdmission({ fifo }: SalePlan, translate: Translate, locale: string): string[] {
  if (fifo === null) return [translate("plan.open")];
  const sentences: string[] = [];
  if (fifo.perSecond !== null && fifo.perSecond > 0) {
    const time = formatRoughDuration(EXAMPLE_LINE_LEN / fifo.perSecond, locale);
    sentences.push(translate("plan.pace", { count: fifo.perSecond, line: EXAMPLE_LINE_LEN, time }));
  }
  if (fifo.checkoutSeconds !== null && fifo.checkoutSeconds > 0) {
    sentences.push(translate("plan.checkout", { time: formatLongDuration(fifo.checkoutSeconds, locale) }));
  }
  if (fifo.extensionSeconds !== null && fifo.extensionSeconds > 0) {
    sentences.push(translate("plan.extension", { time: formatLongDuration(fifo.extensionSeconds, locale) }));
  }
  return sentences;
}
