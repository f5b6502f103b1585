// The buyer's own orders, newest first.

import { Link } from "wouter";
import { LoadMore } from "../../components/LoadMore";
import { LoadError } from "../../components/Notices";
import { SignInPrompt } from "../../components/SignInPrompt";
import type { Order } from "../../lib/api";
import { locale, t } from "../../lib/i18n";
import { useLiveUpdates } from "../../lib/live/useLiveUpdates";
import { formatMoney } from "../../lib/money";
import { useUser } from "../../lib/session";
import { formatDateTime } from "../../lib/time";
import { useSale } from "../../lib/useSale";
import { useTitle } from "../../lib/useTitle";
import { useOrderPages } from "./queries";

export function OrdersPage() {
  useTitle(t("nav.orders"));
  useLiveUpdates();
  const user = useUser();
  const query = useOrderPages();
  const { data, error, isPending, refetch } = query;
  if (user === null) return <SignInPrompt />;
  if (isPending) return <div className="skeleton h-64" aria-busy="true" />;
  if (data === undefined) return <LoadError error={error} onRetry={refetch} />;
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
          <OrderRow key={order.id} order={order} />
        ))}
      </ul>
      <LoadMore query={query} text={t("list.more")} />
    </div>
  );
}

function OrderRow({ order }: { order: Order }) {
  const { data: sale } = useSale(order.flashSaleId, true);
  const isOpen = order.status === "pending" || order.status === "confirmed";
  return (
    <li className="relative flex flex-wrap items-baseline justify-between gap-x-6 gap-y-1 py-5">
      <div className="grid gap-1">
        <h2 className="text-xl">
          <Link href={`/orders/${order.id}`} className="after:absolute after:inset-0 hover:underline">
            {sale?.product.name ?? t("orders.one")}
          </Link>
        </h2>
        <p className="text-sm text-soft">{formatDateTime(order.createdAt, locale())}</p>
      </div>
      <div className="grid gap-1 text-end">
        <p className="figure text-xl">{formatMoney(order.total, locale())}</p>
        <p className={`text-sm font-semibold ${isOpen ? "text-good" : "text-soft"}`}>
          {t(`order.status.${order.status}`)}
        </p>
      </div>
    </li>
  );
}
