// The panel beside the product: the buyer's stage in this sale, and the next action. A new turn changes the title of the tab, plays
// the chime, and moves the focus to the heading.

import { type ReactNode, type RefObject, useEffect, useRef } from "react";
import { Countdown } from "../../components/Countdown";
import { ErrorNotice } from "../../components/Notices";
import type { Sale } from "../../lib/api";
import { playChime } from "../../lib/chime";
import { locale, t } from "../../lib/i18n";
import { formatFullDateTime } from "../../lib/time";
import { useTitle } from "../../lib/useTitle";
import { BuyForm } from "./BuyForm";
import { type BuyerStage, stageKey } from "./buyerStage";
import { ExtendTurn } from "./ExtendTurn";
import { BoughtUnits, HeldUnits } from "./OwnUnits";
import { JoinLine, PlaceInLine } from "./WaitingLine";

interface Props {
  sale: Sale;
  stage: BuyerStage;
  now: number;
  /** False until the buyer's place and orders are loaded. */
  isLoaded: boolean;
  error: unknown;
}

export function BuyerPanel({ sale, stage, now, isLoaded, error }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  const isAdmitted = stage.kind === "admitted";
  useTitle(panelTitle(stage, sale));
  useTurnAlert(stage, isLoaded, heading);
  if (!isLoaded) return <div className="skeleton h-96" aria-busy="true" />;
  return (
    <section
      aria-labelledby="buyer-panel"
      data-stage={stage.kind}
      className={`panel ${isAdmitted ? "outline-4 outline-mark" : ""}`}
    >
      <div className={`panel-head ${isAdmitted ? "bg-mark text-mark-ink" : ""}`}>
        <p className="truncate pb-1 text-sm lg:hidden" aria-hidden="true">
          <bdi>{sale.product.name}</bdi>
        </p>
        <h2 id="buyer-panel" ref={heading} tabIndex={-1} className="text-2xl sm:text-3xl">
          {t(`stage.${stage.kind}`)}
        </h2>
        <span role="status" className="sr-only">
          {t(`stage.${stage.kind}`)}
        </span>
      </div>
      <div className="grid gap-5 p-7 pt-6">
        <StageContent sale={sale} stage={stage} now={now} />
        <ErrorNotice error={error} />
      </div>
    </section>
  );
}

function StageContent({ sale, stage, now }: { sale: Sale; stage: BuyerStage; now: number }): ReactNode {
  switch (stage.kind) {
    case "upcoming":
      return <UpcomingSale sale={sale} stage={stage} now={now} />;
    case "line":
      return (
        <>
          <p>{t("line.open", { count: sale.waiting })}</p>
          {sale.availability === "all_held" && <p>{t("line.all_held")}</p>}
          <JoinLine sale={sale} />
        </>
      );
    case "waiting":
      return <PlaceInLine sale={sale} place={stage.place} />;
    case "admitted":
      return (
        <>
          <Countdown now={now} untilMs={stage.untilMs} label="admitted.left" />
          <p>{t("admitted.text")}</p>
          <BuyForm sale={sale} quantityMax={sale.limitPerBuyer} label="admitted.take" />
          <ExtendTurn sale={sale} place={stage.place} />
        </>
      );
    case "held":
      return <HeldUnits order={stage.order} untilMs={stage.untilMs} now={now} />;
    case "bought":
      return <BoughtUnits sale={sale} order={stage.order} mayBuyMore={stage.mayBuyMore} />;
    case "open":
      return (
        <>
          <p className="text-lg text-good">{t("open.left", { count: sale.available })}</p>
          <BuyForm sale={sale} quantityMax={sale.limitPerBuyer} label="open.buy" />
          <p className="text-sm text-soft">{t("open.text")}</p>
        </>
      );
    case "all_held":
      return <p>{t("all_held.text", { count: sale.held })}</p>;
    case "sold_out":
      return <p>{t("sold_out.text", { count: sale.quantity })}</p>;
    case "paused":
      return <p>{t("paused.text")}</p>;
    case "over":
      return (
        <p>
          {t(stage.closed ? "over.closed" : "over.text", { date: formatFullDateTime(sale.endsAt, locale()) })}
        </p>
      );
  }
}

function UpcomingSale({
  sale,
  stage,
  now,
}: {
  sale: Sale;
  stage: BuyerStage & { kind: "upcoming" };
  now: number;
}) {
  return (
    <>
      <Countdown now={now} untilMs={stage.startsMs} label="upcoming.starts_in" className="text-6xl" />
      <p>{formatFullDateTime(sale.startsAt, locale())}</p>
      {stage.line === "none" && <p>{t("upcoming.open")}</p>}
      {stage.line === "open" && (
        <>
          <p>{t("upcoming.line_open", { count: sale.waiting })}</p>
          <JoinLine sale={sale} />
        </>
      )}
      {typeof stage.line === "object" && (
        <p>
          {t("upcoming.line_opens", {
            date: formatFullDateTime(new Date(stage.line.opensMs).toISOString(), locale()),
          })}
        </p>
      )}
    </>
  );
}

function panelTitle(stage: BuyerStage, sale: Sale): string {
  const name = sale.product.name;
  if (stage.kind === "admitted") return `● ${t("title.admitted")} · ${name}`;
  if (stage.kind === "held") return `● ${t("title.held")} · ${name}`;
  if (stage.kind === "waiting") return `${t("title.waiting", { count: stage.place.ahead })} · ${name}`;
  return name;
}

/** Plays the chime and moves the focus to the panel when the buyer is admitted, but not when the page opens in that stage. */
function useTurnAlert(
  stage: BuyerStage,
  isLoaded: boolean,
  heading: RefObject<HTMLHeadingElement | null>,
): void {
  const key = isLoaded ? stageKey(stage) : null;
  const shownKey = useRef<string | null>(null);
  useEffect(() => {
    if (key === null || key === shownKey.current) return;
    const isFirst = shownKey.current === null;
    shownKey.current = key;
    if (isFirst || key !== "admitted") return;
    playChime();
    heading.current?.focus({ preventScroll: true });
    heading.current?.scrollIntoView({ block: "center" });
  }, [key, heading]);
}
