// The page of one sale: the product on one side, the buyer's panel on the other.

import { lazy, Suspense, useCallback, useEffect, useState } from "react";
import { useLocation } from "wouter";
import { NotFound } from "../../components/NotFound";
import { LoadError } from "../../components/Notices";
import { Price } from "../../components/Price";
import { ProductImage } from "../../components/ProductImage";
import type { Sale } from "../../lib/api";
import { locale, t } from "../../lib/i18n";
import { useIsLive } from "../../lib/live/liveState";
import { useLiveUpdates } from "../../lib/live/useLiveUpdates";
import { useNewestOrders, usePlace } from "../../lib/ownQueries";
import { salePayment } from "../../lib/saleTerms";
import { useShownActivity } from "../../lib/shownActivity";
import { formatFullDateTime, formatRoughDuration } from "../../lib/time";
import { useFeatures } from "../../lib/useFeatures";
import { useSale } from "../../lib/useSale";
import { useCallAt, useServerNow } from "../../lib/useServerTime";
import { BuyerPanel } from "./BuyerPanel";
import { getBuyerStage } from "./buyerStage";

/** Few buyers see it: its script and its texts are loaded where it is offered. */
const SaleReminder = lazy(async () => {
  const [form, { ready }] = await Promise.all([import("./SaleReminder"), import("./reminderTexts")]);
  await ready;
  return form;
});

export function SalePage({ slug }: { slug: string }) {
  const now = useServerNow();
  const { data: sale, error, refetch } = useSale(slug);
  const place = usePlace(sale);
  const orders = useNewestOrders();

  // Asked for with the page: all pages would ask in the moment in which the sale is sold out.
  useFeatures();
  useLiveUpdates(sale?.id);
  useShownActivity(sale?.id);
  useCurrentSlug(sale, slug);
  const ownOrders = orders.data?.items ?? [];
  const stage = sale && getBuyerStage(sale, place.data ?? null, ownOrders, now);

  const reload = useCallback(() => void refetch(), [refetch]);
  const graceMs = useGraceMs();
  useCallAt(sale?.status === "upcoming" ? Date.parse(sale.startsAt) : null, reload, graceMs);
  useCallAt(sale?.status === "active" ? Date.parse(sale.endsAt) : null, reload, graceMs);

  if (sale === undefined || stage === undefined) {
    if (error === null) return <SaleSkeleton />;
    const lost = <NotFound title={t("lost.sale_title")} text={t("lost.sale_text")} />;
    return <LoadError error={error} onRetry={refetch} lost={lost} />;
  }
  const isLoaded = !(place.isLoading || orders.isLoading);
  return (
    <article className="grid gap-8 lg:grid-cols-[1.1fr_1fr] lg:gap-14">
      <div className="min-w-0 lg:order-2">
        <div className="lg:sticky lg:top-6">
          <BuyerPanel
            sale={sale}
            stage={stage}
            orders={ownOrders}
            now={now}
            isLoaded={isLoaded}
            error={place.error ?? orders.error}
          />
          <Suspense fallback={null}>
            {stage.kind === "upcoming" && <SaleReminder saleId={sale.id} topic="start" />}
            {(stage.kind === "sold_out" || stage.kind === "all_held") && (
              <SaleReminder saleId={sale.id} topic="unit" />
            )}
          </Suspense>
        </div>
      </div>
      <div className="min-w-0">
        <ProductImage product={sale.product} isFirst />
        {sale.product.category && (
          <p className="pt-6 text-sm text-soft">
            <bdi>{sale.product.category}</bdi>
          </p>
        )}
        <h1 className={`pb-4 page-title ${sale.product.category ? "pt-1" : "pt-6"}`}>
          <bdi>{sale.product.name}</bdi>
        </h1>
        <Price sale={sale} />
        <p className="max-w-prose py-6 text-lg whitespace-pre-line [overflow-wrap:anywhere]">
          <bdi>{sale.product.description}</bdi>
        </p>
        <SaleFacts sale={sale} />
      </div>
    </article>
  );
}

/** A live page gets start and end over the socket; it polls 1 to 4 s later, so that not all pages poll at that moment. */
function useGraceMs(): number | undefined {
  const [delayMs] = useState(() => 1_000 + 3_000 * Math.random());
  return useIsLive() ? delayMs : undefined;
}

/** An address with an old slug, or with the id of the sale, becomes the current one. */
function useCurrentSlug(sale: Sale | undefined, slug: string): void {
  const [, navigate] = useLocation();
  const current = sale?.slug ?? slug;
  useEffect(() => {
    if (current !== slug) navigate(`/s/${encodeURIComponent(current)}${location.search}`, { replace: true });
  }, [current, slug, navigate]);
}

function SaleFacts({ sale }: { sale: Sale }) {
  const { admission } = sale;
  const payment = salePayment(sale);
  return (
    <section className="border-t border-line pt-5">
      <h2 className="text-xl">{t("facts.title")}</h2>
      <ul className="grid max-w-prose list-disc gap-2 ps-5 pt-3 text-soft marker:text-mark">
        <li>{t("facts.units", { count: sale.quantity })}</li>
        <li>{t("facts.limit", { count: sale.limitPerBuyer })}</li>
        <li>
          {admission.type === "fifo"
            ? t("facts.fifo", { time: formatRoughDuration(admission.checkoutSeconds, locale()) })
            : t("facts.open")}
        </li>
        {admission.type === "fifo" &&
          admission.extensionSeconds !== undefined &&
          admission.extensionSeconds > 0 && (
            <li>{t("facts.more", { time: formatRoughDuration(admission.extensionSeconds, locale()) })}</li>
          )}
        {sale.requireConfirmedEmail && <li>{t("facts.confirmed")}</li>}
        {payment === "collected" && <li>{t("facts.collected")}</li>}
        {payment === "paid" && sale.holdSeconds !== undefined && (
          <li>{t("facts.hold", { time: formatRoughDuration(sale.holdSeconds, locale()) })}</li>
        )}
        <li>{t("facts.from", { date: formatFullDateTime(sale.startsAt, locale()) })}</li>
        <li>{t("facts.until", { date: formatFullDateTime(sale.endsAt, locale()) })}</li>
      </ul>
    </section>
  );
}

function SaleSkeleton() {
  return (
    <div aria-busy="true" className="grid gap-8 lg:grid-cols-2">
      <h1 className="sr-only">{t("loading")}</h1>
      <div className="skeleton h-80 lg:order-2" />
      <div className="grid gap-5">
        <div className="skeleton aspect-[4/3]" />
        <div className="skeleton h-10 w-3/4" />
        <div className="skeleton h-20" />
      </div>
    </div>
  );
}
