// Why attempts were refused, in words. A code that this version does not know is shown as it is.

import type { AdminKey } from "../../lib/texts";

/** What an attempt to join or to order can come to. */
export const CODES = [
  "accepted",
  "not_started",
  "sold_out",
  "all_held",
  "limit_reached",
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
export const ACTIONS = ["join", "order"] as const;

const isOne = <T extends string>(words: readonly T[], word: string): word is T =>
  (words as readonly string[]).includes(word);

export function codeKey(code: string): AdminKey | null {
  return isOne(CODES, code) ? `attempts.code.${code}` : null;
}

export function actionKey(action: string): AdminKey | null {
  return isOne(ACTIONS, action) ? `attempts.action.${action}` : null;
}
