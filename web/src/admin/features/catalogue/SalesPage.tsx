// All sales as their merchant sees them: what runs, what comes, what is over, and the way to a new one.

import type { ReactNode } from "react";
import { Link } from "wouter";
import { LoadMore } from "../../../components/LoadMore";
import { LoadError } from "../../../components/Notices";
import type { Sale } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { formatCountdown, formatPeriod } from "../../../lib/time";
import { useServerNow } from "../../../lib/useServerTime";
import { useTitle } from "../../../lib/useTitle";
import { PageHead } from "../../components/Frame";
import { Status } from "../../components/SaleHead";
import { Stock } from "../../components/Stock";
import { useCurrentSales, useProducts, useSalePages } from "../../lib/queries";
import { type AdminKey, t } from "../../lib/texts";
import { inTime } from "./planWords";

const GROUPS: { title: AdminKey; has: Sale["status"][]; first: (a: Sale, b: Sale) => number }[] = [
  {
    title: "catalogue.running",
    has: ["active", "paused"],
    first: (a, b) => a.endsAt.localeCompare(b.endsAt),
  },
  { title: "catalogue.upcoming", has: ["upcoming"], first: (a, b) => a.startsAt.localeCompare(b.startsAt) },
  { title: "catalogue.over", has: ["ended", "closed"], first: (a, b) => b.endsAt.localeCompare(a.endsAt) },
];

export function SalesPage() {
  useTitle(t("nav.sales"));
  const now = useServerNow();
  const current = useCurrentSales();
  const pages = useSalePages();
  const { data, error, refetch } = pages;
  const sales = merged([...(current.data ?? []), ...(data?.pages.flatMap((page) => page.items) ?? [])]);
  const isLoading = (current.data === undefined || data === undefined) && !current.error && !error;
  const isUnloaded = current.data === undefined && data === undefined;
  const isFirst = !isLoading && !isUnloaded && sales.length === 0;
  return (
    <>
      <PageHead title={t("nav.sales")}>
        {!isFirst && (
          <Link href="/admin/sales/new" className="button button-main">
            {t("catalogue.new_sale")}
          </Link>
        )}
      </PageHead>
      {isLoading && <Loading />}
      {!isLoading && isUnloaded && <LoadError error={error ?? current.error} onRetry={refetch} />}
      {isFirst && <FirstSteps />}
      {!isLoading &&
        GROUPS.map(({ title, has, first }) => {
          const group = sales.filter((sale) => has.includes(sale.status)).sort(first);
          if (group.length === 0) return null;
          return (
            <section key={title} className="pb-10">
              <h2 className="pb-3 text-xl">{t(title)}</h2>
              <ul className="divide-y divide-line rounded-xl border border-line bg-card">
                {group.map((sale) => (
                  <Row key={sale.id} sale={sale} now={now} />
                ))}
              </ul>
            </section>
          );
        })}
      <LoadMore query={pages} text={t("list.more")} />
    </>
  );
}

/** Of the same sale from two lists, the newer reply. */
function merged(sales: Sale[]): Sale[] {
  const newest = new Map<string, Sale>();
  for (const sale of sales) {
    const known = newest.get(sale.id);
    if (known === undefined || known.serverTime < sale.serverTime) newest.set(sale.id, sale);
  }
  return [...newest.values()];
}

function Row({ sale, now }: { sale: Sale; now: number }) {
  const { name } = sale.product;
  return (
    <li className="grid items-center gap-x-6 gap-y-3 px-4 py-4 sm:px-5 lg:grid-cols-[minmax(0,3fr)_8rem_minmax(0,3fr)_minmax(0,3fr)_auto]">
      <div className="min-w-0">
        <h3 dir="auto" className="truncate text-lg rtl:text-right" title={name}>
          <Link href={`/admin/sales/${sale.id}`} className="hover:underline">
            {name}
          </Link>
        </h3>
        <p className="truncate text-sm text-soft">
          {formatMoney(sale.price, locale())} · <bdi>/s/{sale.slug}</bdi>
        </p>
      </div>
      <div>
        <Status sale={sale} />
      </div>
      <Stock sale={sale} />
      <p className="text-sm">
        <When sale={sale} now={now} />
        <span className="block text-soft">{formatPeriod(sale.startsAt, sale.endsAt, locale())}</span>
      </p>
      <p className="flex flex-wrap gap-x-4 text-sm">
        {LINKS.map(({ text, href }) => (
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

const LINKS: { text: AdminKey; href: (id: string) => string }[] = [
  { text: "sale.board", href: (id) => `/admin/sales/${id}` },
  { text: "sale.edit", href: (id) => `/admin/sales/${id}/edit` },
  { text: "catalogue.duplicate", href: (id) => `/admin/sales/new?from=${id}` },
];

function When({ sale, now }: { sale: Sale; now: number }) {
  if (sale.status === "closed") return t("catalogue.closed");
  if (sale.status === "ended") return t("catalogue.ended");
  const isUpcoming = now < Date.parse(sale.startsAt);
  const leftMs = Date.parse(isUpcoming ? sale.startsAt : sale.endsAt) - now;
  // Figures that change each second are for what is near.
  if (leftMs > 86_400_000) {
    const time = inTime(leftMs / 1000, locale());
    return t(isUpcoming ? "catalogue.starts" : "catalogue.ends", { time });
  }
  const time = formatCountdown(leftMs, locale());
  return (
    <span className="tabular-nums">
      {t(isUpcoming ? "catalogue.starts_in" : "catalogue.ends_in", { time })}
    </span>
  );
}

/** For whoever has no sale yet: what to do first, and what then. */
function FirstSteps() {
  const products = useProducts();
  if (products.data === undefined && !products.error) return <Loading />;
  const hasProduct = (products.data?.length ?? 0) > 0;
  return (
    <section className="max-w-2xl rounded-xl border border-line bg-card p-6">
      <h2 className="text-2xl">{t("catalogue.first_title")}</h2>
      <ol className="grid gap-6 pt-5">
        <Step number={1} title={t("catalogue.first_product")} isDone={hasProduct}>
          <p className="text-soft">
            {t(hasProduct ? "catalogue.first_product_done" : "catalogue.first_product_text")}
          </p>
          <Link
            href="/admin/products/new"
            className={`button ${hasProduct ? "button-quiet" : "button-main"} justify-self-start`}
          >
            {t(hasProduct ? "catalogue.another_product" : "product.new")}
          </Link>
        </Step>
        <Step number={2} title={t("catalogue.first_sale")} isDone={false}>
          <p className="text-soft">{t("catalogue.first_sale_text")}</p>
          {hasProduct && (
            <Link href="/admin/sales/new" className="button button-main justify-self-start">
              {t("catalogue.first_sale_make")}
            </Link>
          )}
        </Step>
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

function Step({ number, title, isDone, children }: StepProps) {
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

function Loading() {
  return (
    <div aria-busy="true" className="grid gap-3">
      {["a", "b", "c"].map((row) => (
        <div key={row} className="skeleton h-20" />
      ))}
    </div>
  );
}
