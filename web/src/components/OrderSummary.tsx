// What an order is of: the product as it was sold, how many, and what they cost.

import { Link } from "wouter";
import type { Order, Sale } from "../lib/api";
import { locale, t } from "../lib/i18n";
import { formatMoney } from "../lib/money";
import { orderPayment } from "../lib/saleTerms";
import { formatDateTime } from "../lib/time";
import { ProductImage } from "./ProductImage";

export function OrderSummary({ order, sale }: { order: Order; sale: Sale | undefined }) {
  // The order keeps the product as it was sold; the sale may show a later edit.
  const product = order.product ?? sale?.product;
  const isFree = orderPayment(order) === "free";
  return (
    <aside aria-label={t("order.summary")} className="grid content-start gap-4">
      {product && <ProductImage product={product} isFirst />}
      {product && (
        <h2 className="text-2xl">
          {sale ? (
            <Link href={`/s/${encodeURIComponent(sale.slug)}`} className="hover:underline">
              <bdi>{product.name}</bdi>
            </Link>
          ) : (
            <bdi>{product.name}</bdi>
          )}
        </h2>
      )}
      <dl className="grid grid-cols-[fit-content(50%)_minmax(0,1fr)] gap-y-2 [overflow-wrap:anywhere] [&>dd]:text-end [&>dt]:pe-6 [&>dt]:text-soft">
        <dt>{t("order.quantity")}</dt>
        <dd>{t("number", { count: order.quantity })}</dd>
        <dt>{t("order.price")}</dt>
        <dd>{isFree ? t("price.free") : formatMoney(order.unitPrice, locale())}</dd>
        <dt className="border-t border-line pt-3">{t("order.total")}</dt>
        <dd className="figure border-t border-line pt-3 text-2xl">
          {isFree ? t("price.free") : formatMoney(order.total, locale())}
        </dd>
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
