// The texts of attempts. A code of a newer server, which has no text here, is shown as it is.

import { t } from "../../lib/texts";

export const ATTEMPT_CODES = [
  "accepted",
  "not_started",
  "sold_out",
  "all_held",
  "limit_reached",
  "email_unconfirmed",
  "not_in_line",
  "not_admitted",
  "already_in_line",
  "no_line",
  "paused",
  "ended",
  "closed",
  "key_reused",
  "bad_policy",
] as const;
export const ATTEMPT_ACTIONS = ["join", "order"] as const;

export function describeCode(code: string): string {
  const known = ATTEMPT_CODES.find((each) => each === code);
  return known ? t(`attempts.code.${known}`) : code;
}

export function describeAction(action: string): string {
  const known = ATTEMPT_ACTIONS.find((each) => each === action);
  return known ? t(`attempts.action.${known}`) : action;
}
