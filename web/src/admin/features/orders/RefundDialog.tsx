// Giving the money of an order back: asked once more, done once, however often the button is pressed or the answer is lost.

import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useId, useRef, useState } from "react";
import { ErrorNotice, Notice } from "../../../components/Notices";
import { client, unwrapReply } from "../../../lib/api";
import { ApiError } from "../../../lib/errors";
import { locale } from "../../../lib/i18n";
import { idempotencyKeys } from "../../../lib/idempotencyKeys";
import { formatMoney } from "../../../lib/money";
import { retryTransient } from "../../../lib/retry";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { isolate } from "../../lib/names";
import { type AdminOrder, rememberRefund } from "../../lib/recordQueries";
import { type AdminKey, t } from "../../lib/texts";

/** What a refund can be refused with, in a merchant's words; the rest is told as everywhere. */
const REFUSALS: Record<string, AdminKey> = {
  order_state: "orders.refund.refused.order_state",
  order_unknown: "orders.refund.refused.order_unknown",
  payment_declined: "orders.refund.refused.payment_declined",
  payment_unknown: "orders.refund.refused.payment_unknown",
  request_in_flight: "orders.refund.refused.request_in_flight",
  key_reused: "orders.refund.refused.key_reused",
};

export function RefundDialog({ order, onClose }: { order: AdminOrder; onClose: () => void }) {
  const queries = useQueryClient();
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const [isRestocked, setRestocked] = useState(true);
  const [isRetrying, setRetrying] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const refund = useSubmitOnce({
    mutationFn: async () => {
      const intent = `refund:${order.id}:${isRestocked}`;
      const key = idempotencyKeys.keyFor(intent);
      const refunded = await retryTransient(
        () =>
          unwrapReply(
            client.POST("/api/v1/admin/orders/{id}/refund", {
              body: { restock: isRestocked },
              params: { path: { id: order.id }, header: { "Idempotency-Key": key } },
            }),
          ),
        { onRetry: () => setRetrying(true) },
      );
      idempotencyKeys.release(intent);
      return refunded;
    },
    onSuccess: (refunded) => {
      rememberRefund(queries, refunded);
      dialog.current?.close();
    },
    onError: () => void queries.invalidateQueries({ queryKey: ["own", "admin", "orders"] }),
    onSettled: () => setRetrying(false),
  });
  const total = formatMoney(order.total, locale());
  const who = isolate(order.buyer.email ?? order.buyer.id);
  return (
    // While it is under way the answer is waited for: closing would not undo it.
    <dialog
      ref={dialog}
      aria-labelledby={`${id}-title`}
      className="ask"
      onClose={onClose}
      onCancel={(event) => refund.isPending && event.preventDefault()}
    >
      <form
        className="grid gap-5"
        onSubmit={(event) => {
          event.preventDefault();
          refund.submit();
        }}
      >
        <h2 id={`${id}-title`} className="text-2xl">
          {t("orders.refund.title", { total })}
        </h2>
        <p className="[overflow-wrap:anywhere]">{t("orders.refund.text", { who, count: order.quantity })}</p>
        <fieldset className="grid gap-2" disabled={refund.isPending}>
          <legend className="pb-1 font-semibold">{t("orders.refund.units")}</legend>
          {[true, false].map((restocks) => (
            <label key={String(restocks)} className="flex items-start gap-3 py-1">
              <input
                type="radio"
                name={`${id}-restock`}
                checked={isRestocked === restocks}
                onChange={() => setRestocked(restocks)}
                className="mt-1.5 size-4 accent-mark"
              />
              {restocks ? t("orders.refund.restock") : t("orders.refund.keep")}
            </label>
          ))}
        </fieldset>
        <p role="status" className={isRetrying ? "" : "sr-only"}>
          {isRetrying && t("orders.refund.insisting")}
        </p>
        <Refusal error={refund.error} />
        <div className="flex flex-wrap gap-3">
          <button type="submit" className="button button-main" aria-disabled={refund.isPending}>
            {refund.isPending ? t("orders.refund.asking") : t("orders.refund.yes", { total })}
          </button>
          <button
            type="button"
            className="button button-quiet"
            aria-disabled={refund.isPending}
            onClick={() => !refund.isPending && dialog.current?.close()}
          >
            {t("orders.refund.no")}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function Refusal({ error }: { error: unknown }) {
  const key = error instanceof ApiError ? REFUSALS[error.code] : undefined;
  if (key === undefined) return <ErrorNotice error={error} />;
  return <Notice urgent>{t(key)}</Notice>;
}
