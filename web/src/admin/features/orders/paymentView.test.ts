import { expect, test } from "vitest";
import type { AdminOrder } from "../../../lib/api";
import {
  adviseOnFinding,
  adviseOnPayment,
  findingStatusKey,
  findingTitleKey,
  formatNextTry,
  leftMinor,
  type OrderPayment,
  type PaymentFinding,
  stateKey,
  stateTone,
} from "./paymentView";

const EUR = (amount: number) => ({ amount, currency: "EUR" });
const NOW = Date.parse("2026-11-27T10:00:00Z");

const payment = (change: Partial<OrderPayment> = {}): OrderPayment => ({
  id: "p",
  provider: "stripe",
  method: "stripe",
  status: "captured",
  amount: EUR(4_900),
  refunded: EUR(0),
  reason: "",
  tries: 0,
  createdAt: "2026-11-27T09:00:00Z",
  updatedAt: "2026-11-27T09:00:10Z",
  findings: [],
  ...change,
});

const finding = (kind: string, status: string, change: Partial<PaymentFinding> = {}): PaymentFinding => ({
  id: "du_1",
  kind,
  status,
  reason: "",
  amount: EUR(4_900),
  ...change,
});

const order = (status: AdminOrder["status"] = "confirmed") => ({ status }) as AdminOrder;

test("a payment of which money went back is not called paid", () => {
  expect(stateKey(payment())).toBe("payments.state.captured");
  expect(stateKey(payment({ refunded: EUR(1_000) }))).toBe("payments.state.partly");
  expect(stateKey(payment({ refunded: EUR(4_900) }))).toBe("payments.state.returned");
  expect(stateKey(payment({ status: "refunded", refunded: EUR(4_900) }))).toBe("payments.state.refunded");
  expect(stateKey(payment({ status: "of_tomorrow" }))).toBeNull();
  expect(stateTone(payment({ status: "of_tomorrow" }))).toBe("under_way");
  expect(stateTone(payment({ status: "declined" }))).toBe("over");
});

test("a lost dispute and what was given back are not left to be refunded", () => {
  expect(leftMinor(payment({ refunded: EUR(900) }))).toBe(4_000);
  const lost = finding("dispute", "lost", { amount: EUR(3_000) });
  expect(leftMinor(payment({ refunded: EUR(900), findings: [lost] }))).toBe(1_000);
  expect(leftMinor(payment({ refunded: EUR(900), findings: [finding("dispute", "won")] }))).toBe(4_000);
  expect(leftMinor(payment({ refunded: EUR(3_000), findings: [lost] }))).toBe(0);
});

test("a person is asked for only when the shop's own tries do not help", () => {
  const advise = (change: Partial<OrderPayment>, status?: AdminOrder["status"]) =>
    adviseOnPayment(payment(change), order(status));
  expect(advise({})).toBeNull();
  expect(advise({ status: "voiding", tries: 7 })).toEqual({ key: "payments.text.voiding", isUrgent: false });
  expect(advise({ status: "voiding", tries: 8 })).toEqual({ key: "payments.stuck.voiding", isUrgent: true });
  expect(advise({ status: "authorised", tries: 8 }, "pending")?.key).toBe("payments.stuck.authorised");
  expect(advise({ status: "authorised", tries: 8 }, "confirmed")?.key).toBe("payments.stuck.uncollected");
  // A buyer may stay on the provider's page as long as the hold lasts.
  expect(advise({ status: "open", tries: 40 }, "pending")?.isUrgent).toBe(false);
  expect(advise({ status: "declined" }, "pending")?.isUrgent).toBe(false);
  expect(advise({ status: "declined" }, "confirmed")).toBeNull();
  expect(advise({ status: "of_tomorrow", tries: 40 })).toBeNull();
});

test("money that a dispute holds is not paid back by hand, and what a dispute took is not called released", () => {
  const held = (status: string, word: string) =>
    adviseOnPayment(payment({ status, tries: 40, findings: [finding("dispute", word)] }), order("refunded"));
  for (const status of ["refunding", "voiding"]) {
    for (const word of ["needs_response", "under_review"]) {
      expect(held(status, word)).toEqual({ key: "payments.text.held", isUrgent: false });
    }
    // An inquiry holds no money, and after a decision the refund is made or over.
    for (const word of ["warning_needs_response", "won", "lost"]) {
      expect(held(status, word)).toEqual({ key: `payments.stuck.${status}`, isUrgent: true });
    }
  }
  const lost = payment({ status: "voided", findings: [finding("dispute", "lost")] });
  expect(stateKey(lost)).toBe("payments.state.lost");
  expect(adviseOnPayment(lost, order("refunded"))).toEqual({ key: "payments.text.lost", isUrgent: false });
  expect(stateKey(payment({ status: "voided" }))).toBe("payments.state.voided");
});

test("a dispute about money that goes back asks for nothing but the rest that a lost one left", () => {
  const advise = (status: string, word: string, change: Partial<PaymentFinding> = {}) =>
    adviseOnFinding(finding("dispute", word, change), {
      payment: payment({ status, findings: [finding("dispute", word, change)] }),
      order: order("refunded"),
      nowMs: NOW,
    });
  expect(advise("refunding", "needs_response")).toEqual({
    key: "payments.do.accept_dispute",
    isUrgent: false,
  });
  expect(advise("refunded", "needs_response")).toEqual({ key: "payments.do.answer_dispute", isUrgent: true });
  expect(advise("refunded", "lost")).toEqual({ key: "payments.do.lost_and_refunded", isUrgent: true });
  expect(advise("refunding", "won")).toEqual({ key: "payments.do.won_refunding", isUrgent: false });
  expect(advise("refunded", "won").key).toBe("payments.do.won_refunding");
  expect(advise("voided", "lost")).toEqual({ key: "payments.do.lost_refunded", isUrgent: false });
  expect(advise("voided", "lost", { amount: EUR(4_000) }).isUrgent).toBe(true);
});

test("each state of a dispute says what to do, and an answer is not asked for after its time", () => {
  const advise = (status: string, dueAt?: string, nowMs: number | null = NOW) =>
    adviseOnFinding(finding("dispute", status, dueAt === undefined ? {} : { dueAt }), {
      payment: payment(),
      order: order(),
      nowMs,
    });
  expect(advise("needs_response")).toEqual({ key: "payments.do.answer_dispute", isUrgent: true });
  expect(advise("needs_response", "2026-11-27T10:00:01Z").key).toBe("payments.do.answer_dispute");
  expect(advise("needs_response", "2026-11-27T10:00:00Z").key).toBe("payments.do.too_late");
  expect(advise("needs_response", "2026-11-27T10:00:00Z", null).key).toBe("payments.do.answer_dispute");
  expect(advise("warning_needs_response").key).toBe("payments.do.answer_inquiry");
  expect(advise("under_review")).toEqual({ key: "payments.do.wait_for_bank", isUrgent: false });
  expect(advise("won").key).toBe("payments.do.kept");
  expect(advise("warning_closed").key).toBe("payments.do.kept");
  expect(advise("lost")).toEqual({ key: "payments.do.lost", isUrgent: true });
  expect(advise("of_tomorrow").key).toBe("payments.do.look_up");
});

test("a refund in the dashboard asks for one of the order only when all of the money went back", () => {
  const advise = (refunded: number, state: AdminOrder["status"], status = "succeeded") =>
    adviseOnFinding(finding("refunded_outside", status), {
      payment: payment({ refunded: EUR(refunded) }),
      order: order(state),
      nowMs: NOW,
    }).key;
  expect(advise(1_000, "confirmed")).toBe("payments.do.part_back");
  expect(advise(4_900, "confirmed")).toBe("payments.do.refund_order");
  expect(advise(4_900, "refunded")).toBe("payments.do.all_back");
  expect(advise(0, "confirmed", "failed")).toBe("payments.do.refund_not_made");
});

test("a refund that came back is repeated here while the order is confirmed and enough is left", () => {
  const advise = (state: AdminOrder["status"], refunded = 0) =>
    adviseOnFinding(finding("refund_failed", "failed", { amount: EUR(1_000) }), {
      payment: payment({ refunded: EUR(refunded) }),
      order: order(state),
      nowMs: NOW,
    });
  expect(advise("confirmed")).toEqual({ key: "payments.do.refund_again", isUrgent: true });
  expect(advise("confirmed", 3_900).key).toBe("payments.do.refund_again");
  expect(advise("confirmed", 3_901)).toEqual({ key: "payments.do.refunded_since", isUrgent: false });
  expect(advise("refunded").key).toBe("payments.do.pay_otherwise");
});

test("an inquiry is no dispute, and an unknown word of the provider is shown as it is", () => {
  expect(findingTitleKey(finding("dispute", "warning_under_review"))).toBe("payments.finding.inquiry");
  expect(findingTitleKey(finding("dispute", "lost"))).toBe("payments.finding.dispute");
  expect(findingTitleKey(finding("refund_failed", "failed"))).toBe("payments.finding.refund_failed");
  expect(findingStatusKey(finding("dispute", "warning_needs_response"))).toBe(
    "payments.status.needs_response",
  );
  expect(findingStatusKey(finding("dispute", "of_tomorrow"))).toBeNull();
});

test("the next question to the provider is in the future, or due", () => {
  const at = (offMs: number) => new Date(NOW + offMs).toISOString();
  expect(formatNextTry(at(20_000), NOW, "en")).toBe("in 20 seconds");
  expect(formatNextTry(at(299_001), NOW, "de")).toBe("in 5 Minuten");
  expect(formatNextTry(at(180_000), NOW, "ar")).toBe("خلال 3 دقائق");
  expect(formatNextTry(at(1), NOW, "en")).toBe("in 1 second");
  expect(formatNextTry(at(0), NOW, "en")).toBeNull();
});
