// The page of one sale: what is sold on one side, the buyer's ticket on the other.

import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";
import { Unloaded } from "../../components/Notice";
import { Plate } from "../../components/Plate";
import { Price } from "../../components/Price";
import type { Sale } from "../../lib/api";
import { allowChime } from "../../lib/chime";
import { language, t } from "../../lib/i18n";
import { useIsLive, useLive } from "../../lib/live/live";
import { useAt, useServerNow } from "../../lib/moment";
import { keys, useOwnOrders, usePlace, useSale } from "../../lib/queries";
import { stageOf } from "../../lib/stage";
import { formatMoment, roughlyIn } from "../../lib/time";
import { Ticket } from "./Ticket";

export function SalePage({ slug }: { slug: string }) {
  const now = useServerNow();
  const { data: sale, error, refetch } = useSale(slug);
  const place = usePlace(sale);
  const orders = useOwnOrders();

  useLive(sale?.id);
  const stage = sale && stageOf(sale, place.data ?? null, orders.data?.items ?? [], now);

  const look = useCallback(() => void refetch(), [refetch]);
  const graceMs = useGrace();
  useAt(sale?.status === "upcoming" ? Date.parse(sale.startsAt) : null, look, graceMs);
  useAt(sale?.status === "active" ? Date.parse(sale.endsAt) : null, look, graceMs);
  useOwnEnd(stage?.kind === "held" || stage?.kind === "admitted" ? stage.untilMs : null);
  useChimeAllowed();

  if (sale === undefined || stage === undefined) {
    return error === null ? <Loading /> : <Unloaded error={error} onRetry={look} />;
  }
  const isKnown = !(place.isLoading || orders.isLoading);
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

/** Start and end are told at once where news come by themselves: then not all who watch ask in the same moment as well. */
function useGrace(): number | undefined {
  const [spreadMs] = useState(() => 1_000 + 3_000 * Math.random());
  return useIsLive() ? spreadMs : undefined;
}

/** When the buyer's own time runs out, what is theirs is asked for. */
function useOwnEnd(untilMs: number | null): void {
  const queries = useQueryClient();
  const look = useCallback(() => void queries.invalidateQueries({ queryKey: keys.own }), [queries]);
  useAt(untilMs, look);
}

/** Browsers allow a sound once the page has been touched, wherever: also after a reload in the line. */
function useChimeAllowed(): void {
  useEffect(() => {
    const touches = ["pointerdown", "keydown"] as const;
    for (const touch of touches) document.addEventListener(touch, allowChime, { once: true });
    return () => {
      for (const touch of touches) document.removeEventListener(touch, allowChime);
    };
  }, []);
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
