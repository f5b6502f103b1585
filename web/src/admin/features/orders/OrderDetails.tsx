// The details of one order below its row: identifiers, history, payments, and links to its events in the ledger.

import { Link } from "wouter";
import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { t } from "../../lib/texts";
import { formatTimestamp } from "../../lib/timestamps";
import { PaymentPanel } from "./PaymentPanel";
import type { AdminOrder } from "./queries";

export function OrderDetails({ order, onRefund }: { order: AdminOrder; onRefund: () => void }) {
  const ledger = `/admin/sales/${order.flashSaleId}/ledger`;
  const price = formatMoney(order.unitPrice, locale());
  return (
    <div className="grid gap-5 py-2 md:grid-cols-2">
      <dl className="facts">
        <dt>{t("orders.id")}</dt>
        <dd>
          <code className="select-all">{order.id}</code>
        </dd>
        <dt>{t("orders.buyer_id")}</dt>
        <dd>
          <code className="select-all">{order.buyer.id}</code>
        </dd>
        <dt>{t("orders.total")}</dt>
        <dd>
          {t("orders.sum", { count: order.quantity, price, total: formatMoney(order.total, locale()) })}
        </dd>
      </dl>
      <div className="grid content-start gap-4">
        <OrderHistory order={order} />
        <p className="flex flex-wrap gap-x-5 gap-y-1">
          <Link href={`${ledger}?order=asc&seq=${order.version}`} className="text-link py-1">
            {t("orders.in_ledger", { seq: order.version })}
          </Link>
          <Link href={`${ledger}?order=asc&who=${order.buyer.id}`} className="text-link py-1">
            {t("orders.buyer_in_ledger")}
          </Link>
        </p>
        {order.status === "confirmed" && (
          <button type="button" className="button button-quiet justify-self-start" onClick={onRefund}>
            {t("orders.refund.open")}
          </button>
        )}
      </div>
      <div className="min-w-0 md:col-span-2">
        <PaymentPanel order={order} />
      </div>
    </div>
  );
}

/** The steps that the order itself contains: its creation, its status, and the end of its hold. */
function OrderHistory({ order }: { order: AdminOrder }) {
  const steps = [{ at: order.createdAt, text: t("orders.step.made") }];
  if (order.status !== "pending") {
    const isCollected = order.status === "confirmed" && order.paymentRequired === false;
    const isRestocked = order.status === "refunded" && order.restocked;
    const word = isCollected ? "collected" : isRestocked ? "restocked" : order.status;
    steps.push({ at: order.updatedAt, text: t(`orders.step.${word}`) });
  }
  if (order.expiresAt) steps.push({ at: order.expiresAt, text: t("orders.step.until") });
  return (
    <ol aria-label={t("orders.history")} className="grid gap-1 border-s-2 border-line ps-4">
      {steps.map(({ at, text }) => (
        <li key={text} className="grid">
          <span>{text}</span>
          <time dateTime={at} className="text-sm text-soft">
            {formatTimestamp(at, locale())}
          </time>
        </li>
      ))}
    </ol>
  );
}
