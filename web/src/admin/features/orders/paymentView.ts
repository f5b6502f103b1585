// What an admin reads about a payment: its state, what happened to its money at the provider, and what a person should do. Pure.

import type { components } from "../../../api/schema";
import type { AdminOrder } from "../../../lib/api";
import type { AdminTextKey } from "../../lib/texts";
import { formatTimeUntil } from "../../lib/timestamps";

export type OrderPayment = components["schemas"]["OrderPayment"];
export type PaymentFinding = components["schemas"]["PaymentFinding"];

/** What a person should do. Urgent advice is for a person; the rest says that there is nothing to do. */
export interface Advice {
  key: AdminTextKey;
  isUrgent: boolean;
}

/** After so many tries the shop's own retries are not enough; the server logs the payment then, too. */
const STUCK_TRIES = 8;

const STATES = [
  "started",
  "open",
  "authorised",
  "captured",
  "declined",
  "voiding",
  "voided",
  "refunding",
  "refunded",
] as const;
type PaymentState = (typeof STATES)[number];

/** The money of such a payment goes back to the buyer, or has gone. */
const GOES_BACK: readonly string[] = ["voiding", "voided", "refunding", "refunded"];

const isState = (word: string): word is PaymentState => (STATES as readonly string[]).includes(word);

const isLost = ({ kind, status }: PaymentFinding) => kind === "dispute" && status === "lost";

/** Whether the bank holds the money until it has decided. An inquiry (`warning_…`) has taken none. */
const isUndecided = ({ kind, status }: PaymentFinding) =>
  kind === "dispute" && (status === "needs_response" || status === "under_review");

/** The text for the state of a payment; null for a word that the pages do not know. */
export function stateKey(payment: OrderPayment): AdminTextKey | null {
  const { status, amount, refunded, findings } = payment;
  if (status === "voided" && findings.some(isLost)) return "payments.state.lost";
  if (status === "captured" && refunded.amount > 0) {
    return refunded.amount < amount.amount ? "payments.state.partly" : "payments.state.returned";
  }
  return isState(status) ? `payments.state.${status}` : null;
}

/** Whether the payment has its money (`good`), has lost or never had it (`over`), or is under way. */
export function stateTone({ status }: OrderPayment): "good" | "over" | "under_way" {
  if (status === "captured") return "good";
  return ["declined", "voided", "refunded"].includes(status) ? "over" : "under_way";
}

export function adviseOnPayment(payment: OrderPayment, order: AdminOrder): Advice | null {
  const { status, tries, findings } = payment;
  if (!isState(status) || status === "captured" || status === "refunded") return null;
  // Another card is of use only while the units are held.
  if (status === "declined" && order.status !== "pending") return null;
  if (status === "voided" && findings.some(isLost)) return { key: "payments.text.lost", isUrgent: false };
  // The shop asks the provider until the bank has decided; a person who pays by hand pays twice.
  if ((status === "refunding" || status === "voiding") && findings.some(isUndecided)) {
    return { key: "payments.text.held", isUrgent: false };
  }
  if (tries < STUCK_TRIES || status === "open" || status === "declined" || status === "voided") {
    return { key: `payments.text.${status}`, isUrgent: false };
  }
  const isUncollected = status === "authorised" && order.status === "confirmed";
  return { key: isUncollected ? "payments.stuck.uncollected" : `payments.stuck.${status}`, isUrgent: true };
}

/** How far away the next question to the provider is, such as `in 30 seconds`; null when it is due. */
export function formatNextTry(nextTryAt: string, nowMs: number, locale: string): string | null {
  const leftS = Math.ceil((Date.parse(nextTryAt) - nowMs) / 1000);
  return leftS > 0 ? formatTimeUntil(leftS, locale) : null;
}

/** Minor units that can still be refunded: neither given back nor lost to a dispute. */
export function leftMinor({ amount, refunded, findings }: OrderPayment): number {
  const lost = findings.filter(isLost).reduce((sum, finding) => sum + finding.amount.amount, 0);
  return Math.max(0, amount.amount - refunded.amount - lost);
}

/** The text for what a finding is. An inquiry of the bank (`warning_…`) has taken no money yet. */
export function findingTitleKey({ kind, status }: PaymentFinding): AdminTextKey {
  if (kind === "refunded_outside") return "payments.finding.refunded_outside";
  if (kind === "refund_failed") return "payments.finding.refund_failed";
  return status.startsWith("warning_") ? "payments.finding.inquiry" : "payments.finding.dispute";
}

const FINDING_STATUS_KEYS: Record<string, AdminTextKey> = {
  needs_response: "payments.status.needs_response",
  warning_needs_response: "payments.status.needs_response",
  under_review: "payments.status.under_review",
  warning_under_review: "payments.status.under_review",
  warning_closed: "payments.status.closed",
  won: "payments.status.won",
  lost: "payments.status.lost",
  succeeded: "payments.status.succeeded",
  pending: "payments.status.pending",
  requires_action: "payments.status.pending",
  failed: "payments.status.failed",
  canceled: "payments.status.failed",
};

/** The text for the provider's word; null for a word that the pages do not know, which they show as it is. */
export function findingStatusKey({ status }: PaymentFinding): AdminTextKey | null {
  return FINDING_STATUS_KEYS[status] ?? null;
}

interface FindingContext {
  payment: OrderPayment;
  order: AdminOrder;
  /** The server's time; null while it is unknown. */
  nowMs: number | null;
}

export function adviseOnFinding(finding: PaymentFinding, context: FindingContext): Advice {
  if (finding.kind === "refund_failed") return adviseOnFailedRefund(finding, context);
  if (finding.kind === "refunded_outside") return adviseOnOutsideRefund(finding, context);
  return adviseOnDispute(finding, context);
}

/** What came back can be refunded again here, unless the whole order was refunded, or less is left by now. */
function adviseOnFailedRefund({ amount }: PaymentFinding, { payment, order }: FindingContext): Advice {
  if (order.status !== "confirmed") return { key: "payments.do.pay_otherwise", isUrgent: true };
  if (leftMinor(payment) < amount.amount) return { key: "payments.do.refunded_since", isUrgent: false };
  return { key: "payments.do.refund_again", isUrgent: true };
}

function adviseOnOutsideRefund({ status }: PaymentFinding, { payment, order }: FindingContext): Advice {
  if (status === "failed" || status === "canceled")
    return { key: "payments.do.refund_not_made", isUrgent: true };
  const isAllBack = payment.refunded.amount >= payment.amount.amount;
  if (isAllBack && order.status === "confirmed") return { key: "payments.do.refund_order", isUrgent: true };
  return { key: isAllBack ? "payments.do.all_back" : "payments.do.part_back", isUrgent: false };
}

function adviseOnDispute({ status, dueAt }: PaymentFinding, { payment, nowMs }: FindingContext): Advice {
  const goesBack = GOES_BACK.includes(payment.status);
  const isOnItsWay = payment.status === "voiding" || payment.status === "refunding";
  const isLate = dueAt !== undefined && nowMs !== null && Date.parse(dueAt) <= nowMs;
  switch (status) {
    case "needs_response":
    case "warning_needs_response":
      if (isLate) return { key: "payments.do.too_late", isUrgent: false };
      // Money that the buyer has is not given twice: the refund is the answer to the dispute.
      if (isOnItsWay && status === "needs_response") {
        return { key: "payments.do.accept_dispute", isUrgent: false };
      }
      return {
        key: status === "needs_response" ? "payments.do.answer_dispute" : "payments.do.answer_inquiry",
        isUrgent: true,
      };
    case "under_review":
    case "warning_under_review":
      return { key: "payments.do.wait_for_bank", isUrgent: false };
    case "won":
      return { key: goesBack ? "payments.do.won_refunding" : "payments.do.kept", isUrgent: false };
    case "warning_closed":
      return { key: "payments.do.kept", isUrgent: false };
    case "lost":
      if (!goesBack) return { key: "payments.do.lost", isUrgent: true };
      if (payment.status === "refunded") return { key: "payments.do.lost_and_refunded", isUrgent: true };
      // Of less than the whole amount: the provider refunds nothing of a payment after a lost dispute.
      return {
        key: "payments.do.lost_refunded",
        isUrgent: payment.status === "voided" && leftMinor(payment) > 0,
      };
    default:
      return { key: "payments.do.look_up", isUrgent: true };
  }
}
