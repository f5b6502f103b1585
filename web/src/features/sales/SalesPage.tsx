// All sales: what runs, what comes, what was.

import { Link } from "wouter";
import { More } from "../../components/More";
import { Unloaded } from "../../components/Notice";
import { Plate } from "../../components/Plate";
import { Price } from "../../components/Price";
import type { Sale } from "../../lib/api";
import { language, type TextKey, t } from "../../lib/i18n";
import { useServerNow } from "../../lib/moment";
import { useSales } from "../../lib/queries";
import { clockFace, formatShort } from "../../lib/time";
import { useTitle } from "../../lib/title";

const GROUPS: { title: TextKey; has: Sale["status"][]; first: (a: Sale, b: Sale) => number }[] = [
  { title: "sales.running", has: ["active", "paused"], first: (a, b) => a.endsAt.localeCompare(b.endsAt) },
  { title: "sales.upcoming", has: ["upcoming"], first: (a, b) => a.startsAt.localeCompare(b.startsAt) },
  { title: "sales.past", has: ["ended", "closed"], first: (a, b) => b.endsAt.localeCompare(a.endsAt) },
];

export function SalesPage() {
  useTitle("");
  const now = useServerNow();
  const { data, error, isPending, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useSales();
  if (isPending) return <Loading />;
  if (data === undefined) return <Unloaded error={error} onRetry={() => void refetch()} />;
  const sales = data.pages.flatMap((page) => page.items);
  return (
    <>
      <h1 className="max-w-2xl pt-4 pb-8 text-4xl sm:text-5xl">{t("sales.title")}</h1>
      {sales.length === 0 && <p className="max-w-prose text-lg text-soft">{t("sales.none")}</p>}
      {GROUPS.map(({ title, has, first }) => {
        const group = sales.filter((sale) => has.includes(sale.status)).sort(first);
        if (group.length === 0) return null;
        return (
          <section key={title} className="pb-12">
            <h2 className="border-b border-line pb-2 text-2xl">{t(title)}</h2>
            <ul className="grid gap-x-8 gap-y-10 pt-6 sm:grid-cols-2 lg:grid-cols-3">
              {group.map((sale) => (
                <Card key={sale.id} sale={sale} now={now} />
              ))}
            </ul>
          </section>
        );
      })}
      {hasNextPage && (
        <More text={t("list.more")} isLoading={isFetchingNextPage} onMore={() => void fetchNextPage()} />
      )}
    </>
  );
}

function Card({ sale, now }: { sale: Sale; now: number }) {
  const isOver = sale.status === "ended" || sale.status === "closed";
  return (
    <li className="group relative grid content-start gap-3">
      <Plate product={sale.product} className={isOver ? "opacity-60 saturate-50" : ""} />
      <p className="pt-1 text-sm font-semibold">
        <State sale={sale} now={now} />
      </p>
      <h3 className="text-2xl">
        <Link
          href={`/s/${encodeURIComponent(sale.slug)}`}
          className="after:absolute after:inset-0 group-hover:underline group-hover:decoration-1 group-hover:underline-offset-4"
        >
          {sale.product.name}
        </Link>
      </h3>
      <Price sale={sale} className="text-2xl" />
    </li>
  );
}

function State({ sale, now }: { sale: Sale; now: number }) {
  if (sale.status === "upcoming") {
    const leftMs = Date.parse(sale.startsAt) - now;
    // Figures that change each second are for sales that are near.
    return leftMs < 86_400_000 ? (
      <span className="tabular-nums">{t("sales.starts_in", { time: clockFace(leftMs, language()) })}</span>
    ) : (
      t("sales.starts_on", { date: formatShort(sale.startsAt, language()) })
    );
  }
  if (sale.status === "ended" || sale.status === "closed") {
    return <span className="text-soft">{t("sales.over")}</span>;
  }
  if (sale.status === "paused") return t("sales.paused");
  if (sale.availability === "sold_out") return <span className="text-soft">{t("sales.sold_out")}</span>;
  if (sale.availability === "all_held") return t("sales.all_held");
  return <span className="text-good">{t("sales.available", { count: sale.available })}</span>;
}

function Loading() {
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
