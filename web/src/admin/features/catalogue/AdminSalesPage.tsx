// All sales for their merchant: running, upcoming and past.

import type { ReactNode } from "react";
import { Link } from "wouter";
import { LoadMore } from "../../../components/LoadMore";
import { LoadError } from "../../../components/Notices";
import type { Sale } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { groupSales } from "../../../lib/saleStatus";
import { formatCountdown, formatPeriod } from "../../../lib/time";
import { useServerNow } from "../../../lib/useServerTime";
import { useTitle } from "../../../lib/useTitle";
import { AdminNotFound } from "../../components/AdminNotFound";
import { PageHeader } from "../../components/PageHeader";
import { ProviderNotices } from "../../components/ProviderNotices";
import { SaleStatusBadge } from "../../components/SaleHeader";
import { StockSummary } from "../../components/StockSummary";
import { type AdminTextKey, t } from "../../lib/texts";
import { formatTimeUntil } from "../../lib/timestamps";
import { useCurrentSales, useProducts, useSalePages } from "./queries";

const GROUP_TITLES = {
  running: "catalogue.running",
  upcoming: "catalogue.upcoming",
  past: "catalogue.over",
} as const;

export function AdminSalesPage() {
  useTitle(t("nav.sales"));
  const now = useServerNow();
  const current = useCurrentSales();
  const pages = useSalePages();
  const { data, error, refetch } = pages;
  const sales = mergeSales([...(current.data ?? []), ...(data?.pages.flatMap((page) => page.items) ?? [])]);
  const isLoading = (current.data === undefined || data === undefined) && !current.error && !error;
  const hasFailed = current.data === undefined && data === undefined;
  const hasNoSales = !isLoading && !hasFailed && sales.length === 0;
  return (
    <>
      <PageHeader title={t("nav.sales")}>
        {!hasNoSales && (
          <Link href="/admin/sales/new" className="button button-main">
            {t("catalogue.new_sale")}
          </Link>
        )}
      </PageHeader>
      <ProviderNotices />
      {isLoading && <SalesSkeleton />}
      {!isLoading && hasFailed && (
        <LoadError error={error ?? current.error} onRetry={refetch} lost={<AdminNotFound />} />
      )}
      {hasNoSales && <FirstSteps />}
      {!isLoading &&
        groupSales(sales).map(
          (group) =>
            group.sales.length > 0 && (
              <section key={group.name} className="pb-10">
                <h2 className="pb-3 text-xl">{t(GROUP_TITLES[group.name])}</h2>
                <ul className="divide-y divide-line rounded-xl border border-line bg-card">
                  {group.sales.map((sale) => (
                    <SaleRow key={sale.id} sale={sale} now={now} />
                  ))}
                </ul>
              </section>
            ),
        )}
      <LoadMore query={pages} text={t("list.more")} />
    </>
  );
}

/** Keeps the newer reply of a sale that is in both lists. */
function mergeSales(sales: Sale[]): Sale[] {
  const newest = new Map<string, Sale>();
  for (const sale of sales) {
    const known = newest.get(sale.id);
    if (known === undefined || known.serverTime < sale.serverTime) newest.set(sale.id, sale);
  }
  return [...newest.values()];
}

function SaleRow({ sale, now }: { sale: Sale; now: number | null }) {
  const { name } = sale.product;
  return (
    <li className="grid items-center gap-x-6 gap-y-3 px-4 py-4 sm:px-5 lg:grid-cols-[minmax(0,3fr)_8rem_minmax(0,3fr)_minmax(0,3fr)_auto]">
      <div className="min-w-0">
        <h3 dir="auto" className="truncate text-lg rtl:text-right" title={name}>
          <Link href={`/admin/sales/${sale.id}`} className="hover:underline">
            <bdi>{name}</bdi>
          </Link>
        </h3>
        <p className="truncate text-sm text-soft">
          <bdi>{formatMoney(sale.price, locale())}</bdi> · <bdi dir="ltr">/s/{sale.slug}</bdi>
        </p>
      </div>
      <div>
        <SaleStatusBadge sale={sale} />
      </div>
      <StockSummary sale={sale} />
      <p className="text-sm">
        <SaleTime sale={sale} now={now} />
        <span className="block text-soft">{formatPeriod(sale.startsAt, sale.endsAt, locale())}</span>
      </p>
      <p className="flex flex-wrap gap-x-4 text-sm">
        {ROW_LINKS.map(({ text, href }) => (
          <Link
            key={text}
            href={href(sale.id)}
            className="text-link py-2 lg:py-1"
            aria-label={t("catalogue.link_of", { what: t(text), name })}
          >
            {t(text)}
          </Link>
        ))}
      </p>
    </li>
  );
}

const ROW_LINKS: { text: AdminTextKey; href: (id: string) => string }[] = [
  { text: "sale.board", href: (id) => `/admin/sales/${id}` },
  { text: "sale.edit", href: (id) => `/admin/sales/${id}/edit` },
  { text: "catalogue.duplicate", href: (id) => `/admin/sales/new?from=${id}` },
];

function SaleTime({ sale, now }: { sale: Sale; now: number | null }) {
  if (sale.status === "closed") return t("catalogue.closed");
  if (sale.status === "ended") return t("catalogue.ended");
  if (now === null) return null;
  const isUpcoming = now < Date.parse(sale.startsAt);
  const leftMs = Date.parse(isUpcoming ? sale.startsAt : sale.endsAt) - now;
  // Only a time within a day shows a countdown.
  if (leftMs > 86_400_000) {
    const time = formatTimeUntil(leftMs / 1000, locale());
    return t(isUpcoming ? "catalogue.starts" : "catalogue.ends", { time });
  }
  const time = formatCountdown(leftMs, locale());
  return (
    <span className="tabular-nums">
      {t(isUpcoming ? "catalogue.starts_in" : "catalogue.ends_in", { time })}
    </span>
  );
}

/** The steps to the first sale, for a shop without sales. */
function FirstSteps() {
  const products = useProducts();
  if (products.data === undefined && !products.error) return <SalesSkeleton />;
  const hasProduct = (products.data?.length ?? 0) > 0;
  return (
    <section className="max-w-2xl rounded-xl border border-line bg-card p-6">
      <h2 className="text-2xl">{t("catalogue.first_title")}</h2>
      <ol className="grid gap-6 pt-5">
        <FirstStep number={1} title={t("catalogue.first_product")} isDone={hasProduct}>
          <p className="text-soft">
            {t(hasProduct ? "catalogue.first_product_done" : "catalogue.first_product_text")}
          </p>
          <Link
            href="/admin/products/new"
            className={`button ${hasProduct ? "button-quiet" : "button-main"} justify-self-start`}
          >
            {t(hasProduct ? "catalogue.another_product" : "product.new")}
          </Link>
        </FirstStep>
        <FirstStep number={2} title={t("catalogue.first_sale")} isDone={false}>
          <p className="text-soft">{t("catalogue.first_sale_text")}</p>
          {hasProduct && (
            <Link href="/admin/sales/new" className="button button-main justify-self-start">
              {t("catalogue.first_sale_make")}
            </Link>
          )}
        </FirstStep>
      </ol>
    </section>
  );
}

interface StepProps {
  number: number;
  title: string;
  isDone: boolean;
  children: ReactNode;
}

function FirstStep({ number, title, isDone, children }: StepProps) {
  return (
    <li className="grid grid-cols-[2.25rem_minmax(0,1fr)] gap-x-4">
      <span
        aria-hidden="true"
        className={`figure grid size-9 place-items-center rounded-full border text-lg ${isDone ? "border-good text-good" : "border-soft"}`}
      >
        {isDone ? "✓" : t("catalogue.number", { count: number })}
      </span>
      <div className="grid gap-2">
        <h3 className="pt-1.5 text-lg">{title}</h3>
        {children}
      </div>
    </li>
  );
}

function SalesSkeleton() {
  return (
    <div aria-busy="true" className="grid gap-3">
      {["a", "b", "c"].map((row) => (
        <div key={row} className="skeleton h-20" />
      ))}
    </div>
  );
}
