// The texts of refusals for merchants.

import { type AdminTextKey, t } from "../../lib/texts";

const REFUSAL_TEXTS: Record<string, AdminTextKey> = {
  all_held: "board.refused.all_held",
  already_in_line: "board.refused.already_in_line",
  closed: "board.refused.closed",
  email_unconfirmed: "board.refused.email_unconfirmed",
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

/** A code without a text is shown as it is. */
export function describeRefusal(code: string): string {
  const key = REFUSAL_TEXTS[code];
  return key === undefined ? code : t(key);
}
