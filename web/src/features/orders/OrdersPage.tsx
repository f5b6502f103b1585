// What the buyer has under way, and the buyer's own orders, newest first.

import { Link } from "wouter";
import { ActivityTime, activityText, useActivityPage } from "../../components/ActivityBar";
import { LoadMore } from "../../components/LoadMore";
import { LoadError } from "../../components/Notices";
import { SignInPrompt } from "../../components/SignInPrompt";
import { type Activity, activityKey } from "../../lib/activity";
import type { Order } from "../../lib/api";
import { locale, t } from "../../lib/i18n";
import { useLiveUpdates } from "../../lib/live/useLiveUpdates";
import { formatMoney } from "../../lib/money";
import { orderStatusKey } from "../../lib/orderTexts";
import { useActivities } from "../../lib/ownQueries";
import { orderPayment } from "../../lib/saleTerms";
import { useUser } from "../../lib/session";
import { formatDateTime } from "../../lib/time";
import { useSale } from "../../lib/useSale";
import { useTitle } from "../../lib/useTitle";
import { useOrderPages } from "./queries";

export default function OrdersPage() {
  useTitle(t("nav.orders"));
  useLiveUpdates();
  const user = useUser();
  const query = useOrderPages();
  const { activities } = useActivities();
  const { data, error, isPending, refetch } = query;
  if (user === null) return <SignInPrompt />;
  if (isPending) return <div className="skeleton h-64" aria-busy="true" />;
  if (data === undefined) return <LoadError error={error} onRetry={refetch} />;
  const orders = data.pages.flatMap((page) => page.items);
  // A held order is in the list of orders, with its time.
  const places = activities.filter(({ kind }) => kind === "admitted" || kind === "waiting");
  return (
    <div className="mx-auto max-w-3xl">
      <h1 className="pt-4 pb-6 page-title">{t("nav.orders")}</h1>
      {places.length > 0 && (
        <section className="pb-8">
          <h2 className="pb-3 text-xl">{t("orders.under_way")}</h2>
          <ul className="divide-y divide-line border-y border-line">
            {places.map((activity) => (
              <PlaceRow key={activityKey(activity)} activity={activity} />
            ))}
          </ul>
        </section>
      )}
      {orders.length === 0 && places.length === 0 && (
        <div className="grid justify-items-start gap-4">
          <p className="text-lg text-soft">{t("orders.none")}</p>
          <Link href="/" className="button button-main">
            {t("nav.all_sales")}
          </Link>
        </div>
      )}
      <ul className="divide-y divide-line border-line empty:border-0 [&:not(:empty)]:border-y">
        {orders.map((order) => (
          <OrderRow key={order.id} order={order} activities={activities} />
        ))}
      </ul>
      <LoadMore query={query} text={t("list.more")} />
    </div>
  );
}

/** The name keeps its place beside a long price where there is room for both, else the price comes below it. */
const ROW =
  "relative grid grid-cols-[minmax(0,1fr)] items-baseline gap-x-6 gap-y-1 py-5 @xs:grid-cols-[minmax(0,1fr)_auto] @xs:[&>:last-child]:text-end";

function PlaceRow({ activity }: { activity: Activity }) {
  const { name, href } = useActivityPage(activity);
  const isTurn = activity.kind === "admitted";
  return (
    <li data-activity={activity.kind} className="@container">
      <div className={ROW}>
        <h3 className="text-xl">
          <Link href={href} className="after:absolute after:inset-0 hover:underline">
            <bdi>{name === "" ? t("orders.place") : name}</bdi>
          </Link>
        </h3>
        <p className={`font-semibold ${isTurn ? "text-mark" : "text-good"}`}>
          {activityText(activity)}{" "}
          <span className="tabular-nums">
            <ActivityTime activity={activity} />
          </span>
        </p>
      </div>
    </li>
  );
}

function OrderRow({ order, activities }: { order: Order; activities: readonly Activity[] }) {
  const activity = activities.find((one) => "order" in one && one.order.id === order.id);
  const isOpen = order.status === "pending" || order.status === "confirmed";
  return (
    <li className="@container">
      <div className={ROW}>
        <div className="grid gap-1">
          <h2 className="text-xl">
            <Link href={`/orders/${order.id}`} className="after:absolute after:inset-0 hover:underline">
              <OrderName order={order} />
            </Link>
          </h2>
          <p className="text-sm text-soft">{formatDateTime(order.createdAt, locale())}</p>
        </div>
        <div className="grid gap-1">
          <p className="figure text-xl">
            {orderPayment(order) === "free" ? t("price.free") : formatMoney(order.total, locale())}
          </p>
          <p className={`text-sm font-semibold ${isOpen ? "text-good" : "text-soft"}`}>
            {t(orderStatusKey(order))}{" "}
            {activity?.kind === "held" && (
              <span className="tabular-nums">
                <ActivityTime activity={activity} />
              </span>
            )}
          </p>
        </div>
      </div>
    </li>
  );
}

/** The product as it was sold; without it, as the sale has it now. */
function OrderName({ order }: { order: Order }) {
  return order.product ? <bdi>{order.product.name}</bdi> : <SaleName id={order.flashSaleId} />;
}

function SaleName({ id }: { id: string }) {
  const { data: sale } = useSale(id, true);
  return <bdi>{sale?.product.name ?? t("orders.one")}</bdi>;
}
