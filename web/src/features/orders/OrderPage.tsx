// One order: paying for it while it is held, and what became of it.

import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import { Failure, Unloaded } from "../../components/Notice";
import { Plate } from "../../components/Plate";
import { SignInFirst } from "../../components/SignInFirst";
import { Timer } from "../../components/Timer";
import { ask, client, type Order, type Sale } from "../../lib/api";
import { useDeed } from "../../lib/deed";
import { language, t } from "../../lib/i18n";
import { useLive } from "../../lib/live/live";
import { useAt, useServerNow } from "../../lib/moment";
import { formatMoney } from "../../lib/money";
import { rememberOrder, useOrder, useSale } from "../../lib/queries";
import { session } from "../../lib/session";
import { useStore } from "../../lib/store";
import { formatShort } from "../../lib/time";
import { useTitle } from "../../lib/title";
import { Pay } from "./Pay";

export function OrderPage({ id }: { id: string }) {
  const who = useStore(session);
  const { data: order, error, isPending, refetch } = useOrder(id);
  useLive(order?.flashSaleId);
  const look = useCallback(() => void refetch(), [refetch]);
  const untilMs = order?.status === "pending" && order.expiresAt ? Date.parse(order.expiresAt) : null;
  useAt(untilMs, look);
  useTitle(order === undefined ? t("orders.one") : t(`order.title.${order.status}`));
  if (who.status !== "in") return <SignInFirst />;
  if (isPending) return <div className="skeleton mx-auto h-96 max-w-4xl" aria-busy="true" />;
  if (order === undefined) return <Unloaded error={error} onRetry={look} />;
  return <Shown order={order} />;
}

function Shown({ order }: { order: Order }) {
  const { data: sale } = useSale(order.flashSaleId);
  const now = useServerNow();
  const heading = useRef<HTMLHeadingElement>(null);
  const before = useRef(order.status);
  useEffect(() => {
    if (before.current === order.status) return;
    before.current = order.status;
    heading.current?.focus();
  }, [order.status]);
  const untilMs = Date.parse(order.expiresAt ?? order.createdAt);
  return (
    <div className="mx-auto grid max-w-5xl gap-8 md:grid-cols-[1.4fr_1fr]">
      <section aria-labelledby="order" data-order={order.status} className="ticket self-start">
        <div className="ticket-stub">
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
              <Timer now={now} untilMs={untilMs} label="held.left" />
              <Pay order={order} />
              <Cancel order={order} />
            </>
          ) : (
            <>
              <p className="text-lg">{t(`order.text.${order.status}`)}</p>
              <Onward order={order} sale={sale} />
            </>
          )}
        </div>
      </section>
      <Summary order={order} sale={sale} />
    </div>
  );
}

/** Where to go from an order that is over. */
function Onward({ order, sale }: { order: Order; sale: Sale | undefined }) {
  const again = order.status !== "confirmed" && order.status !== "refunded" && sale?.status === "active";
  return (
    <div className="flex flex-wrap gap-3">
      {again && (
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

function Summary({ order, sale }: { order: Order; sale: Sale | undefined }) {
  return (
    <aside aria-label={t("order.summary")} className="grid content-start gap-4">
      {sale && <Plate product={sale.product} />}
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
        <dd>{formatMoney(order.unitPrice, language())}</dd>
        <dt className="border-t border-line pt-3">{t("order.total")}</dt>
        <dd className="figure border-t border-line pt-3 text-2xl">{formatMoney(order.total, language())}</dd>
        <dt>{t("order.made")}</dt>
        <dd>{formatShort(order.createdAt, language())}</dd>
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

function Cancel({ order }: { order: Order }) {
  const queries = useQueryClient();
  const [isAsked, setAsked] = useState(false);
  const cancel = useDeed({
    mutationFn: () => ask(client.DELETE("/api/v1/orders/{id}", { params: { path: { id: order.id } } })),
    onSuccess: (gone) => rememberOrder(queries, gone),
    onError: () => void queries.invalidateQueries({ queryKey: ["own"] }),
  });
  if (!isAsked) {
    return (
      <button
        type="button"
        className="text-link justify-self-start py-1 text-sm"
        onClick={() => setAsked(true)}
      >
        {t("cancel.cancel")}
      </button>
    );
  }
  return (
    <div className="grid gap-3">
      <p role="alert">{t("cancel.sure")}</p>
      <div className="flex flex-wrap gap-3">
        <button
          type="button"
          className="button button-quiet"
          aria-disabled={cancel.isPending}
          onClick={() => cancel.press()}
        >
          {t("cancel.yes")}
        </button>
        <button type="button" className="text-link px-3" onClick={() => setAsked(false)}>
          {t("cancel.no")}
        </button>
      </div>
      <Failure error={cancel.error} />
    </div>
  );
}
