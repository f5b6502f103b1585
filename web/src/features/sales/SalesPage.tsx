// All sales: running, upcoming and past.

import { Link } from "wouter";
import { LoadMore } from "../../components/LoadMore";
import { LoadError } from "../../components/Notices";
import { Price } from "../../components/Price";
import { ProductImage } from "../../components/ProductImage";
import type { Sale } from "../../lib/api";
import { locale, t } from "../../lib/i18n";
import { groupSales, isSaleOver } from "../../lib/saleStatus";
import { formatCountdown, formatZonedDateTime } from "../../lib/time";
import { useServerNow } from "../../lib/useServerTime";
import { useTitle } from "../../lib/useTitle";
import { useSales } from "./queries";

export function SalesPage() {
  useTitle("");
  const now = useServerNow();
  const query = useSales();
  const { data, error, isPending, refetch } = query;
  if (isPending) return <SalesSkeleton />;
  if (data === undefined) return <LoadError error={error} onRetry={refetch} />;
  const sales = data.pages.flatMap((page) => page.items);
  return (
    <>
      <h1 className="max-w-2xl pt-4 pb-8 page-title">{t("sales.title")}</h1>
      {sales.length === 0 && <p className="max-w-prose text-lg text-soft">{t("sales.none")}</p>}
      {groupSales(sales).map(
        (group) =>
          group.sales.length > 0 && (
            <section key={group.name} className="pb-12">
              <h2 className="border-b border-line pb-2 text-2xl">{t(`sales.${group.name}`)}</h2>
              <ul className="grid gap-x-8 gap-y-10 pt-6 sm:grid-cols-2 lg:grid-cols-3">
                {group.sales.map((sale) => (
                  <SaleCard key={sale.id} sale={sale} now={now} />
                ))}
              </ul>
            </section>
          ),
      )}
      <LoadMore query={query} text={t("list.more")} />
    </>
  );
}

interface SaleProps {
  sale: Sale;
  /** The server's time; `null` while it is unknown. */
  now: number | null;
}

function SaleCard({ sale, now }: SaleProps) {
  return (
    <li className="group relative grid content-start gap-3">
      <ProductImage product={sale.product} className={isSaleOver(sale) ? "opacity-60 saturate-50" : ""} />
      <p className="pt-1 text-sm font-semibold">
        <SaleState sale={sale} now={now} />
      </p>
      <h3 className="text-2xl">
        <Link
          href={`/s/${encodeURIComponent(sale.slug)}`}
          className="after:absolute after:inset-0 group-hover:underline group-hover:decoration-1 group-hover:underline-offset-4"
        >
          <bdi>{sale.product.name}</bdi>
        </Link>
      </h3>
      <Price sale={sale} className="text-2xl" />
    </li>
  );
}

function SaleState({ sale, now }: SaleProps) {
  if (sale.status === "upcoming") {
    const leftMs = now === null ? null : Date.parse(sale.startsAt) - now;
    // Only a sale that starts within a day shows a countdown.
    return leftMs !== null && leftMs < 86_400_000 ? (
      <span className="tabular-nums">
        {t("sales.starts_in", { time: formatCountdown(leftMs, locale()) })}
      </span>
    ) : (
      t("sales.starts_on", { date: formatZonedDateTime(sale.startsAt, locale()) })
    );
  }
  if (isSaleOver(sale)) {
    return <span className="text-soft">{t("sales.over")}</span>;
  }
  if (sale.status === "paused") return t("sales.paused");
  if (sale.availability === "sold_out") return <span className="text-soft">{t("sales.sold_out")}</span>;
  if (sale.availability === "all_held") return t("sales.all_held");
  return <span className="text-good">{t("sales.available", { count: sale.available })}</span>;
}

function SalesSkeleton() {
  return (
    <div aria-busy="true">
      <p className="sr-only">{t("loading")}</p>
      <div className="skeleton my-8 h-12 max-w-lg" />
      <div className="grid gap-8 sm:grid-cols-2 lg:grid-cols-3">
        {["a", "b", "c"].map((card) => (
          <div key={card} className="skeleton aspect-[4/3]" />
        ))}
      </div>
    </div>
  );
}
