// Refunds an order after a confirmation. The idempotency key makes repeated requests refund once.

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
import { type AdminTextKey, t } from "../../lib/texts";
import { type AdminOrder, cacheRefund } from "./queries";

/** The refusals that need a text for merchants. */
const REFUSAL_TEXTS: Record<string, AdminTextKey> = {
  order_state: "orders.refund.refused.order_state",
  order_unknown: "orders.refund.refused.order_unknown",
  payment_declined: "orders.refund.refused.payment_declined",
  payment_missing: "orders.refund.refused.payment_missing",
  payment_unknown: "orders.refund.refused.payment_unknown",
  request_in_flight: "orders.refund.refused.request_in_flight",
  key_reused: "orders.refund.refused.key_reused",
};

export function RefundDialog({ order, onClose }: { order: AdminOrder; onClose: () => void }) {
  const queries = useQueryClient();
  const groupName = useId();
  const [isRestocked, setRestocked] = useState(true);
  const refund = useSubmitWithKey({
    operation: `refund:${order.id}:${isRestocked}`,
    send: (key) =>
      unwrapReply(
        client.POST("/api/v1/admin/orders/{id}/refund", {
          body: { restock: isRestocked },
          params: { path: { id: order.id }, header: { "Idempotency-Key": key } },
        }),
      ),
    onSuccess: (refunded) => {
      cacheRefund(queries, refunded);
      onClose();
    },
    onError: () => void queries.invalidateQueries({ queryKey: adminKeys.orders }),
  });
  const total = formatMoney(order.total, locale());
  const who = isolateText(order.buyer.email ?? order.buyer.id);
  return (
    <ConfirmDialog
      title={t("orders.refund.title", { total })}
      confirmLabel={t("orders.refund.yes", { total })}
      pendingLabel={t("orders.refund.asking")}
      cancelLabel={t("orders.refund.no")}
      isPending={refund.isPending}
      onConfirm={() => refund.submit()}
      onCancel={onClose}
    >
      <p className="[overflow-wrap:anywhere]">{t("orders.refund.text", { who, count: order.quantity })}</p>
      <fieldset className="grid gap-2" disabled={refund.isPending}>
        <legend className="pb-1 font-semibold">{t("orders.refund.units")}</legend>
        {[true, false].map((restocks) => (
          <label key={String(restocks)} className="flex items-start gap-3 py-1">
            <input
              type="radio"
              name={groupName}
              checked={isRestocked === restocks}
              onChange={() => setRestocked(restocks)}
              className="mt-1.5 size-4 accent-mark"
            />
            {restocks ? t("orders.refund.restock") : t("orders.refund.keep")}
          </label>
        ))}
      </fieldset>
      <RetryStatus isRetrying={refund.isRetrying} text={t("orders.refund.insisting")} />
      <RefundError error={refund.error} />
    </ConfirmDialog>
  );
}

function RefundError({ error }: { error: unknown }) {
  const key = error instanceof ApiError ? REFUSAL_TEXTS[error.code] : undefined;
  return key === undefined ? <ErrorNotice error={error} /> : <Notice urgent>{t(key)}</Notice>;
}
