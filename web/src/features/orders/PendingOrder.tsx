// A held order: the time that is left, the payment, and the way back. While the bank is asked there is only the notice that it is.

import { useQueryClient } from "@tanstack/react-query";
import { ConfirmInline } from "../../components/ConfirmInline";
import { Countdown } from "../../components/Countdown";
import { ErrorNotice, Notice, RetryStatus } from "../../components/Notices";
import { client, type Order, unwrapReply } from "../../lib/api";
import { locale, t } from "../../lib/i18n";
import { cacheOrder } from "../../lib/queryCache";
import { queryKeys } from "../../lib/queryKeys";
import { orderPayment } from "../../lib/saleTerms";
import { formatTimeOfDay } from "../../lib/time";
import { useServerNow } from "../../lib/useServerTime";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { PaymentForm } from "./PaymentForm";
import type { Payment } from "./usePayment";

export function PendingOrder({ order, payment }: { order: Order; payment: Payment }) {
  const now = useServerNow();
  if (payment.isPaying) {
    return (
      <>
        <p className="text-lg">{t("paying.text", { count: order.quantity })}</p>
        <p className="text-soft">{t("paying.wait")}</p>
        <RetryStatus isRetrying={payment.isRetrying} text={t("pay.insisting")} />
      </>
    );
  }
  const time = order.expiresAt ? formatTimeOfDay(order.expiresAt, now, locale()) : "";
  return (
    <>
      <Countdown now={now} untilMs={Date.parse(order.expiresAt ?? order.createdAt)} label="held.left" />
      {payment.isDeclined ? (
        <Notice urgent>{t("pay.declined", { time, count: order.quantity })}</Notice>
      ) : (
        <ErrorNotice error={payment.error} />
      )}
      {orderPayment(order) === "free" ? (
        <FreeForm order={order} payment={payment} />
      ) : (
        <PaymentForm order={order} payment={payment} />
      )}
      <CancelOrder order={order} />
    </>
  );
}

function FreeForm({ order, payment }: { order: Order; payment: Payment }) {
  return (
    <form
      className="grid gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        payment.submit(null);
      }}
    >
      <p>{t("held.text_free", { count: order.quantity })}</p>
      <button type="submit" className="button button-main text-lg">
        {t("buy.free")}
      </button>
    </form>
  );
}

function CancelOrder({ order }: { order: Order }) {
  const queries = useQueryClient();
  const { submit, isPending, error } = useSubmitOnce<Order>({
    mutationFn: () =>
      unwrapReply(client.DELETE("/api/v1/orders/{id}", { params: { path: { id: order.id } } })),
    onSuccess: (cancelled) => cacheOrder(queries, cancelled),
    onError: () => void queries.invalidateQueries({ queryKey: queryKeys.own }),
  });
  return (
    <ConfirmInline
      label={t("cancel.cancel")}
      question={t("cancel.sure")}
      confirmLabel={t("cancel.yes")}
      cancelLabel={t("cancel.no")}
      isPending={isPending}
      error={error}
      onConfirm={submit}
    />
  );
}
