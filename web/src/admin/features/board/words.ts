// Shares and refusals in words.

import { locale } from "../../../lib/i18n";
import { type AdminKey, t } from "../../lib/texts";
import { percent } from "./figures";

export function share(part: number, whole: number): string {
  const format = new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 0 });
  return format.format(percent(part, whole) / 100);
}

/** The codes that attempts are refused with, in a merchant's words. */
const REFUSALS: Record<string, AdminKey> = {
  all_held: "board.refused.all_held",
  already_in_line: "board.refused.already_in_line",
  closed: "board.refused.closed",
  ended: "board.refused.ended",
  key_reused: "board.refused.key_reused",
  limit_reached: "board.refused.limit_reached",
  no_line: "board.refused.no_line",
  not_admitted: "board.refused.not_admitted",
  not_in_line: "board.refused.not_in_line",
  not_started: "board.refused.not_started",
  order_expired: "board.refused.order_expired",
  overloaded: "board.refused.overloaded",
  paused: "board.refused.paused",
  sold_out: "board.refused.sold_out",
};

export function refusalWords(code: string): string {
  const key = REFUSALS[code];
  return key === undefined ? code : t(key);
}
