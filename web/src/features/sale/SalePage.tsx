// The page of one sale: what is sold on one side, the buyer's ticket on the other.

import { useCallback } from "react";
import { Unloaded } from "../../components/Notice";
import { Plate } from "../../components/Plate";
import { Price } from "../../components/Price";
import type { Sale } from "../../lib/api";
import { language, t } from "../../lib/i18n";
import { useAt, useServerNow } from "../../lib/moment";
import { useOwnOrders, usePlace, useSale } from "../../lib/queries";
import { stageOf } from "../../lib/stage";
import { formatMoment, roughlyIn } from "../../lib/time";
import { Ticket } from "./Ticket";

export function SalePage({ slug }: { slug: string }) {
  const now = useServerNow();
  const { data: sale, error, refetch } = useSale(slug);
  const place = usePlace(sale);
  const orders = useOwnOrders();

  const look = useCallback(() => void refetch(), [refetch]);
  useAt(sale?.status === "upcoming" ? Date.parse(sale.startsAt) : null, look);
  useAt(sale?.status === "active" ? Date.parse(sale.endsAt) : null, look);

  if (sale === undefined) {
    return error === null ? <Loading /> : <Unloaded error={error} onRetry={look} />;
  }
  const isKnown = !(place.isLoading || orders.isLoading);
  const stage = stageOf(sale, place.data ?? null, orders.data?.items ?? [], now);
  return (
    <article className="grid gap-8 lg:grid-cols-[1.1fr_1fr] lg:gap-14">
      <div className="min-w-0 lg:order-2">
        <div className="lg:sticky lg:top-6">
          <Ticket sale={sale} stage={stage} now={now} isKnown={isKnown} error={place.error ?? orders.error} />
        </div>
      </div>
      <div className="min-w-0">
        <Plate product={sale.product} />
        {sale.product.category && <p className="pt-6 text-sm text-soft">{sale.product.category}</p>}
        <h1 className="pt-1 pb-4 text-4xl">{sale.product.name}</h1>
        <Price sale={sale} />
        <p className="max-w-prose py-6 text-lg whitespace-pre-line [overflow-wrap:anywhere]">
          <bdi>{sale.product.description}</bdi>
        </p>
        <Facts sale={sale} />
      </div>
    </article>
  );
}

function Facts({ sale }: { sale: Sale }) {
  const { admission } = sale;
  return (
    <section className="border-t border-line pt-5">
      <h2 className="text-xl">{t("facts.title")}</h2>
      <ul className="grid max-w-prose list-disc gap-2 ps-5 pt-3 text-soft marker:text-mark">
        <li>{t("facts.units", { count: sale.quantity })}</li>
        <li>{t("facts.limit", { count: sale.limitPerBuyer })}</li>
        <li>
          {admission.type === "fifo"
            ? t("facts.fifo", { time: roughlyIn(admission.checkoutSeconds, language()) })
            : t("facts.open")}
        </li>
        {admission.type === "fifo" && admission.extensionSeconds !== undefined && (
          <li>{t("facts.more", { time: roughlyIn(admission.extensionSeconds, language()) })}</li>
        )}
        <li>{t("facts.from", { date: formatMoment(sale.startsAt, language()) })}</li>
        <li>{t("facts.until", { date: formatMoment(sale.endsAt, language()) })}</li>
      </ul>
    </section>
  );
}

function Loading() {
  return (
    <div aria-busy="true" className="grid gap-8 lg:grid-cols-2">
      <p className="sr-only">{t("loading")}</p>
      <div className="skeleton h-80 lg:order-2" />
      <div className="grid gap-5">
        <div className="skeleton aspect-[4/3]" />
        <div className="skeleton h-10 w-3/4" />
        <div className="skeleton h-20" />
      </div>
    </div>
  );
}
