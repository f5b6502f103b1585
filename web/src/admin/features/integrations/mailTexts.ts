// The words for kinds and states of mails. A kind of a newer server is shown as the server names it.

import { type AdminTextKey, t } from "../../lib/texts";

export const MAIL_STATES = ["waiting", "sent", "failed", "bounced", "suppressed", "given_up"] as const;

const KIND_KEYS: Record<string, AdminTextKey> = {
  confirm_address: "mail.kind.confirm_address",
  reset_password: "mail.kind.reset_password",
  guest_code: "mail.kind.guest_code",
  order_confirmed: "mail.kind.order_confirmed",
  order_refunded: "mail.kind.order_refunded",
  your_turn: "mail.kind.your_turn",
  turn_missed: "mail.kind.turn_missed",
  sale_reminder: "mail.kind.sale_reminder",
  unit_returned: "mail.kind.unit_returned",
  endpoint_disabled: "mail.kind.endpoint_disabled",
  payment_stuck: "mail.kind.payment_stuck",
};

export function mailKindText(kind: string): string {
  const key = KIND_KEYS[kind];
  return key === undefined ? kind : t(key);
}

export function mailStateText(state: string): string {
  const known = MAIL_STATES.find((known) => known === state);
  return known === undefined ? state : t(`mail.state.${known}`);
}

/** Whether a mail can be sent again: it was to arrive and did not. */
export function isResendable(state: string): boolean {
  return state === "failed" || state === "bounced" || state === "suppressed";
}
