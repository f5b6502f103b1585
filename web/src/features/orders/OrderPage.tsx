// One order: the payment form while it is held, afterwards its result.

import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef } from "react";
import { Link } from "wouter";
import { ConfirmInline } from "../../components/ConfirmInline";
import { Countdown } from "../../components/Countdown";
import { LoadError } from "../../components/Notices";
import { ProductImage } from "../../components/ProductImage";
import { SignInPrompt } from "../../components/SignInPrompt";
import { client, type Order, type Sale, unwrapReply } from "../../lib/api";
import { locale, t } from "../../lib/i18n";
import { useLiveUpdates } from "../../lib/live/useLiveUpdates";
import { formatMoney } from "../../lib/money";
import { cacheOrder } from "../../lib/queryCache";
import { queryKeys } from "../../lib/queryKeys";
import { useUser } from "../../lib/session";
import { formatDateTime } from "../../lib/time";
import { useSale } from "../../lib/useSale";
import { useCallAt, useServerNow } from "../../lib/useServerTime";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { useTitle } from "../../lib/useTitle";
import { PaymentForm } from "./PaymentForm";
import { useOrder } from "./queries";

export function OrderPage({ id }: { id: string }) {
  const user = useUser();
  const { data: order, error, isPending, refetch } = useOrder(id);
  useLiveUpdates(order?.flashSaleId);
  const reload = useCallback(() => void refetch(), [refetch]);
  const untilMs = order?.status === "pending" && order.expiresAt ? Date.parse(order.expiresAt) : null;
  useCallAt(untilMs, reload);
  useTitle(order === undefined ? t("orders.one") : t(`order.title.${order.status}`));
  if (user === null) return <SignInPrompt />;
  if (isPending) return <div className="skeleton mx-auto h-96 max-w-4xl" aria-busy="true" />;
  if (order === undefined) return <LoadError error={error} onRetry={refetch} />;
  return <OrderView order={order} />;
}

function OrderView({ order }: { order: Order }) {
  const { data: sale } = useSale(order.flashSaleId);
  const now = useServerNow();
  const heading = useRef<HTMLHeadingElement>(null);
  const shownStatus = useRef(order.status);
  useEffect(() => {
    if (shownStatus.current === order.status) return;
    shownStatus.current = order.status;
    heading.current?.focus();
  }, [order.status]);
  const untilMs = Date.parse(order.expiresAt ?? order.createdAt);
  return (
    <div className="mx-auto grid max-w-5xl gap-8 md:grid-cols-[1.4fr_1fr]">
      <section aria-labelledby="order" data-order={order.status} className="panel self-start">
        <div className="panel-head">
          <h1 id="order" ref={heading} tabIndex={-1} className="text-2xl sm:text-3xl">
            {t(`order.title.${order.status}`)}
          </h1>
          <span role="status" className="sr-only">
            {t(`order.title.${order.status}`)}
          </span>
        </div>
        <div className="grid gap-6 p-7 pt-6">
          {order.status === "pending" ? (
            <>
              <Countdown now={now} untilMs={untilMs} label="held.left" />
              <PaymentForm order={order} />
              <CancelOrder order={order} />
            </>
          ) : (
            <>
              <p className="text-lg">{t(`order.text.${order.status}`)}</p>
              <NextSteps order={order} sale={sale} />
            </>
          )}
        </div>
      </section>
      <OrderSummary order={order} sale={sale} />
    </div>
  );
}

/** The links below an order that is not pending. */
function NextSteps({ order, sale }: { order: Order; sale: Sale | undefined }) {
  const canRetry = order.status !== "confirmed" && order.status !== "refunded" && sale?.status === "active";
  return (
    <div className="flex flex-wrap gap-3">
      {canRetry && (
        <Link href={`/s/${encodeURIComponent(sale.slug)}`} className="button button-main">
          {t("order.again")}
        </Link>
      )}
      <Link href="/orders" className="button button-quiet">
        {t("nav.orders")}
      </Link>
    </div>
  );
}

function OrderSummary({ order, sale }: { order: Order; sale: Sale | undefined }) {
  return (
    <aside aria-label={t("order.summary")} className="grid content-start gap-4">
      {sale && <ProductImage product={sale.product} />}
      {sale && (
        <h2 className="text-2xl">
          <Link href={`/s/${encodeURIComponent(sale.slug)}`} className="hover:underline">
            {sale.product.name}
          </Link>
        </h2>
      )}
      <dl className="grid grid-cols-[auto_1fr] gap-y-2 [&>dd]:text-end [&>dt]:pe-6 [&>dt]:text-soft">
        <dt>{t("order.quantity")}</dt>
        <dd>{t("number", { count: order.quantity })}</dd>
        <dt>{t("order.price")}</dt>
        <dd>{formatMoney(order.unitPrice, locale())}</dd>
        <dt className="border-t border-line pt-3">{t("order.total")}</dt>
        <dd className="figure border-t border-line pt-3 text-2xl">{formatMoney(order.total, locale())}</dd>
        <dt>{t("order.made")}</dt>
        <dd>{formatDateTime(order.createdAt, locale())}</dd>
      </dl>
      <p className="text-sm text-soft">
        {t("order.number")}{" "}
        <code dir="ltr" className="select-all [overflow-wrap:anywhere]">
          {order.id}
        </code>
      </p>
    </aside>
  );
}

function CancelOrder({ order }: { order: Order }) {
  const queries = useQueryClient();
  const { submit, isPending, error } = useSubmitOnce({
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
