// Refunds an order, or a part of its money, after a confirmation. The idempotency key makes repeated requests refund once.

import { useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { ErrorNotice, Notice, RetryStatus } from "../../../components/Notices";
import { client, unwrapReply } from "../../../lib/api";
import { ApiError } from "../../../lib/errors";
import { locale } from "../../../lib/i18n";
import { isolateText } from "../../../lib/isolateText";
import { formatMoney } from "../../../lib/money";
import { useSubmitWithKey } from "../../../lib/useSubmitWithKey";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { adminKeys } from "../../lib/adminCache";
import { parsePrice } from "../../lib/parseFields";
import { type AdminTextKey, t } from "../../lib/texts";
import { leftMinor } from "./paymentView";
import { type AdminOrder, cacheRefund, useOrderPayments } from "./queries";

/** The refusals that need a text for merchants. */
const REFUSAL_TEXTS: Record<string, AdminTextKey> = {
  order_state: "orders.refund.refused.order_state",
  order_unknown: "orders.refund.refused.order_unknown",
  payment_declined: "orders.refund.refused.payment_declined",
  refund_too_high: "orders.refund.refused.refund_too_high",
  refund_refused: "orders.refund.refused.refund_refused",
  payment_missing: "orders.refund.refused.payment_missing",
  payment_unknown: "orders.refund.refused.payment_unknown",
  request_in_flight: "orders.refund.refused.request_in_flight",
  key_reused: "orders.refund.refused.key_reused",
};

/** What goes back: all of the money with or without the units, or a part of the money. */
const CHOICES = ["restock", "keep", "part"] as const;

export function RefundDialog({ order, onClose }: { order: AdminOrder; onClose: () => void }) {
  const queries = useQueryClient();
  const groupName = useId();
  const [choice, setChoice] = useState<(typeof CHOICES)[number]>("restock");
  const [typed, setTyped] = useState("");
  const [isChecked, setChecked] = useState(false);
  const { currency } = order.total;
  const minor = parsePrice(typed, currency, locale());
  const payments = useOrderPayments(order.id).data?.items ?? [];
  const captured = payments.find(({ status }) => status === "captured");
  // Without a payment there is nothing that could have gone back.
  const left = captured === undefined ? order.total.amount : leftMinor(captured);
  const isPart = choice === "part" && minor !== null && minor > 0 && minor <= left;
  const part = isPart ? { amount: minor, currency } : undefined;
  const isMissing = choice === "part" && part === undefined;
  const refund = useSubmitWithKey({
    operation: `refund:${order.id}:${choice}:${part?.amount ?? ""}`,
    send: (key) =>
      unwrapReply(
        client.POST("/api/v1/admin/orders/{id}/refund", {
          body: { restock: choice === "restock", ...(part && { amount: part }) },
          params: { path: { id: order.id }, header: { "Idempotency-Key": key } },
        }),
      ),
    onSuccess: (refunded) => {
      cacheRefund(queries, refunded);
      onClose();
    },
    onError: () => void queries.invalidateQueries({ queryKey: adminKeys.orders }),
  });
  const total = formatMoney(part ?? { amount: left, currency }, locale());
  const who = isolateText(order.buyer.email ?? order.buyer.id);
  return (
    <ConfirmDialog
      title={t("orders.refund.title", { total })}
      confirmLabel={t("orders.refund.yes", { total })}
      pendingLabel={t("orders.refund.asking")}
      cancelLabel={t("orders.refund.no")}
      isPending={refund.isPending}
      onConfirm={() => (isMissing ? setChecked(true) : refund.submit())}
      onCancel={onClose}
    >
      <p className="[overflow-wrap:anywhere]">
        {choice === "part" ? t("orders.refund.text_part", { who }) : describeWhole(order, left, who)}
      </p>
      <fieldset className="grid gap-2" disabled={refund.isPending}>
        <legend className="pb-1 font-semibold">{t("orders.refund.units")}</legend>
        {CHOICES.map((each) => (
          <label key={each} className="flex items-start gap-3 py-1">
            <input
              type="radio"
              name={groupName}
              checked={choice === each}
              onChange={() => setChoice(each)}
              className="mt-1.5 size-4 accent-mark"
            />
            {t(`orders.refund.${each}`)}
          </label>
        ))}
        {choice === "part" && (
          <div className="grid gap-1">
            <label htmlFor={`${groupName}-amount`} className="font-semibold">
              {t("orders.refund.amount", { currency })}
            </label>
            <input
              id={`${groupName}-amount`}
              className="field"
              inputMode="decimal"
              value={typed}
              aria-invalid={isChecked && isMissing}
              aria-describedby={isChecked && isMissing ? `${groupName}-error` : undefined}
              onChange={(event) => setTyped(event.target.value)}
            />
            {isChecked && isMissing && (
              <p id={`${groupName}-error`} role="alert" className="text-sm font-semibold text-mark">
                {t("orders.refund.amount_wrong")}
              </p>
            )}
          </div>
        )}
      </fieldset>
      <RetryStatus isRetrying={refund.isRetrying} text={t("orders.refund.insisting")} />
      <RefundError error={refund.error} />
    </ConfirmDialog>
  );
}

/** What a refund of the whole order does. Parts of the money may have gone back before. */
function describeWhole(order: AdminOrder, left: number, who: string): string {
  if (left === order.total.amount) return t("orders.refund.text", { who, count: order.quantity });
  return t(left > 0 ? "orders.refund.text_rest" : "orders.refund.text_none", { who });
}

function RefundError({ error }: { error: unknown }) {
  const key = error instanceof ApiError ? REFUSAL_TEXTS[error.code] : undefined;
  return key === undefined ? <ErrorNotice error={error} /> : <Notice urgent>{t(key)}</Notice>;
}
