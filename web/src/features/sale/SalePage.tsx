// The page of one sale: the product on one side, the buyer's panel on the other.

import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";
import { LoadError } from "../../components/Notices";
import { Price } from "../../components/Price";
import { ProductImage } from "../../components/ProductImage";
import type { Sale } from "../../lib/api";
import { unlockChime } from "../../lib/chime";
import { locale, t } from "../../lib/i18n";
import { useIsLive } from "../../lib/live/liveState";
import { useLiveUpdates } from "../../lib/live/useLiveUpdates";
import { queryKeys } from "../../lib/queryKeys";
import { formatFullDateTime, formatRoughDuration } from "../../lib/time";
import { useSale } from "../../lib/useSale";
import { useCallAt, useServerNow } from "../../lib/useServerTime";
import { BuyerPanel } from "./BuyerPanel";
import { getBuyerStage } from "./buyerStage";
import { useNewestOrders, usePlace } from "./queries";

export function SalePage({ slug }: { slug: string }) {
  const now = useServerNow();
  const { data: sale, error, refetch } = useSale(slug);
  const place = usePlace(sale);
  const orders = useNewestOrders();

  useLiveUpdates(sale?.id);
  const stage = sale && getBuyerStage(sale, place.data ?? null, orders.data?.items ?? [], now);

  const reload = useCallback(() => void refetch(), [refetch]);
  const graceMs = useGraceMs();
  useCallAt(sale?.status === "upcoming" ? Date.parse(sale.startsAt) : null, reload, graceMs);
  useCallAt(sale?.status === "active" ? Date.parse(sale.endsAt) : null, reload, graceMs);
  useReloadOwnAt(stage?.kind === "held" || stage?.kind === "admitted" ? stage.untilMs : null);
  useUnlockChime();

  if (sale === undefined || stage === undefined) {
    return error === null ? <SaleSkeleton /> : <LoadError error={error} onRetry={refetch} />;
  }
  const isLoaded = !(place.isLoading || orders.isLoading);
  return (
    <article className="grid gap-8 lg:grid-cols-[1.1fr_1fr] lg:gap-14">
      <div className="min-w-0 lg:order-2">
        <div className="lg:sticky lg:top-6">
          <BuyerPanel
            sale={sale}
            stage={stage}
            now={now}
            isLoaded={isLoaded}
            error={place.error ?? orders.error}
          />
        </div>
      </div>
      <div className="min-w-0">
        <ProductImage product={sale.product} />
        {sale.product.category && <p className="pt-6 text-sm text-soft">{sale.product.category}</p>}
        <h1 className="pt-1 pb-4 text-4xl">{sale.product.name}</h1>
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

/** Fetches the buyer's place and orders when a hold or a turn runs out. */
function useReloadOwnAt(untilMs: number | null): void {
  const queries = useQueryClient();
  const reload = useCallback(() => void queries.invalidateQueries({ queryKey: queryKeys.own }), [queries]);
  useCallAt(untilMs, reload);
}

/** A browser allows sound after any touch of the page. This unlocks it also after a reload. */
function useUnlockChime(): void {
  useEffect(() => {
    const events = ["pointerdown", "keydown"] as const;
    for (const event of events) document.addEventListener(event, unlockChime, { once: true });
    return () => {
      for (const event of events) document.removeEventListener(event, unlockChime);
    };
  }, []);
}

function SaleFacts({ sale }: { sale: Sale }) {
  const { admission } = sale;
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
        {admission.type === "fifo" && admission.extensionSeconds !== undefined && (
          <li>{t("facts.more", { time: formatRoughDuration(admission.extensionSeconds, locale()) })}</li>
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
