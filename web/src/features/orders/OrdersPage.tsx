// The buyer's own orders, newest first.

import { Link } from "wouter";
import { More } from "../../components/More";
import { Unloaded } from "../../components/Notice";
import { SignInFirst } from "../../components/SignInFirst";
import type { Order } from "../../lib/api";
import { language, t } from "../../lib/i18n";
import { useLive } from "../../lib/live/live";
import { formatMoney } from "../../lib/money";
import { useOrderPages, useSale } from "../../lib/queries";
import { session } from "../../lib/session";
import { useStore } from "../../lib/store";
import { formatShort } from "../../lib/time";
import { useTitle } from "../../lib/title";

export function OrdersPage() {
  useTitle(t("nav.orders"));
  useLive();
  const who = useStore(session);
  const { data, error, isPending, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useOrderPages();
  if (who.status !== "in") return <SignInFirst />;
  if (isPending) return <div className="skeleton h-64" aria-busy="true" />;
  if (data === undefined) return <Unloaded error={error} onRetry={() => void refetch()} />;
  const orders = data.pages.flatMap((page) => page.items);
  return (
    <div className="mx-auto max-w-3xl">
      <h1 className="pt-4 pb-6 text-4xl">{t("nav.orders")}</h1>
      {orders.length === 0 && (
        <div className="grid justify-items-start gap-4">
          <p className="text-lg text-soft">{t("orders.none")}</p>
          <Link href="/" className="button button-main">
            {t("nav.all_sales")}
          </Link>
        </div>
      )}
      <ul className="divide-y divide-line border-line empty:border-0 [&:not(:empty)]:border-y">
        {orders.map((order) => (
          <Row key={order.id} order={order} />
        ))}
      </ul>
      {hasNextPage && (
        <More text={t("list.more")} isLoading={isFetchingNextPage} onMore={() => void fetchNextPage()} />
      )}
    </div>
  );
}

function Row({ order }: { order: Order }) {
  const { data: sale } = useSale(order.flashSaleId, true);
  const isAlive = order.status === "pending" || order.status === "confirmed";
  return (
    <li className="relative flex flex-wrap items-baseline justify-between gap-x-6 gap-y-1 py-5">
      <div className="grid gap-1">
        <h2 className="text-xl">
          <Link href={`/orders/${order.id}`} className="after:absolute after:inset-0 hover:underline">
            {sale?.product.name ?? t("orders.one")}
          </Link>
        </h2>
        <p className="text-sm text-soft">{formatShort(order.createdAt, language())}</p>
      </div>
      <div className="grid gap-1 text-end">
        <p className="figure text-xl">{formatMoney(order.total, language())}</p>
        <p className={`text-sm font-semibold ${isAlive ? "text-good" : "text-soft"}`}>
          {t(`order.status.${order.status}`)}
        </p>
      </div>
    </li>
  );
}
