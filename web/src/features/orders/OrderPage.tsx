// One order: the payment while it is held, afterwards its result.

import { useCallback, useEffect, useRef } from "react";
import { Link } from "wouter";
import { NotFound } from "../../components/NotFound";
import { LoadError } from "../../components/Notices";
import { OrderSummary } from "../../components/OrderSummary";
import { SignInPrompt } from "../../components/SignInPrompt";
import type { Order, Sale } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { type TextKey, t } from "../../lib/i18n";
import { useLiveUpdates } from "../../lib/live/useLiveUpdates";
import { orderTextKey, orderTitleKey } from "../../lib/orderTexts";
import { useUser } from "../../lib/session";
import { useShownActivity } from "../../lib/shownActivity";
import { useSale } from "../../lib/useSale";
import { useCallAt } from "../../lib/useServerTime";
import { useTitle } from "../../lib/useTitle";
import { PendingOrder } from "./PendingOrder";
import { useOrder } from "./queries";
import { useBankReturn } from "./useBankReturn";
import { usePayment } from "./usePayment";

export default function OrderPage({ id }: { id: string }) {
  const user = useUser();
  const isReturning = useBankReturn();
  const { data: order, error, isPending, refetch } = useOrder(id, isReturning);
  useLiveUpdates(order?.flashSaleId);
  useShownActivity(order?.id);
  const reload = useCallback(() => void refetch(), [refetch]);
  const untilMs = order?.status === "pending" && order.expiresAt ? Date.parse(order.expiresAt) : null;
  useCallAt(untilMs, reload);
  if (user === null) return <SignInPrompt />;
  if (isPending) return <div className="skeleton mx-auto h-96 max-w-4xl" aria-busy="true" />;
  if (order === undefined) return <OrderLoadError error={error} onRetry={refetch} />;
  return <OrderView order={order} isReturning={isReturning} />;
}

/** An address that is no order's, or that of another buyer's order, leads to the buyer's own orders. */
function OrderLoadError({ error, onRetry }: { error: unknown; onRetry: () => unknown }) {
  const lost = (
    <NotFound title={t("lost.order_title")} text={t("lost.order_text")}>
      <Link href="/orders" className="button button-quiet">
        {t("nav.orders")}
      </Link>
    </NotFound>
  );
  const isNoId = error instanceof ApiError && (error.status === 400 || error.status === 422);
  return isNoId ? lost : <LoadError error={error} onRetry={onRetry} lost={lost} />;
}

function OrderView({ order, isReturning }: { order: Order; isReturning: boolean }) {
  const { data: sale } = useSale(order.flashSaleId);
  const payment = usePayment(order, isReturning);
  const heading = useRef<HTMLHeadingElement>(null);
  const title: TextKey = orderTitleKey(order, payment.isPaying);
  const shownTitle = useRef(title);
  useTitle(t(title));
  useEffect(() => {
    if (shownTitle.current === title) return;
    shownTitle.current = title;
    heading.current?.focus();
  }, [title]);
  const text = orderTextKey(order);
  return (
    <div className="mx-auto grid max-w-5xl gap-8 md:grid-cols-[1.4fr_1fr]">
      <section
        aria-labelledby="order"
        data-order={order.status}
        data-paying={payment.isPaying || undefined}
        className="panel self-start"
      >
        <div className="panel-head">
          <h1 id="order" ref={heading} tabIndex={-1} className="text-2xl sm:text-3xl">
            {t(title)}
          </h1>
          <span role="status" className="sr-only">
            {t(title)}
          </span>
        </div>
        <div className="panel-body grid gap-6">
          {text === null ? (
            <PendingOrder order={order} payment={payment} />
          ) : (
            <>
              <p className="text-lg">{t(text)}</p>
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
