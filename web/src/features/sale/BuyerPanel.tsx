// The panel beside the product: the buyer's stage in this sale, and the next action. A new turn moves the focus to the heading.

import { type ReactNode, type RefObject, useEffect, useRef } from "react";
import { Countdown, FrozenCountdown } from "../../components/Countdown";
import { ErrorNotice, Notice } from "../../components/Notices";
import type { TurnEnd } from "../../lib/activity";
import type { Order, Sale } from "../../lib/api";
import { locale, type TextKey, t } from "../../lib/i18n";
import { salePayment } from "../../lib/saleTerms";
import { formatFullDateTime, formatTimeOfDay } from "../../lib/time";
import { useTitle } from "../../lib/useTitle";
import { BuyForm } from "./BuyForm";
import { type BuyerStage, stageKey, turnQuantityMax } from "./buyerStage";
import { ExtendTurn } from "./ExtendTurn";
import { BoughtUnits, HeldUnits, UnitsBeingPaid } from "./OwnUnits";
import { PriceAndStock, StartTime } from "./SaleTicket";
import { JoinLine, PlaceInLine } from "./WaitingLine";

interface StageProps {
  sale: Sale;
  stage: BuyerStage;
  orders: readonly Order[];
  /** The server's time; `null` while it is unknown. */
  now: number | null;
}

interface Props extends StageProps {
  /** False until the buyer's place and orders are loaded. */
  isLoaded: boolean;
  error: unknown;
}

export function BuyerPanel({ isLoaded, error, ...props }: Props) {
  const { sale, stage } = props;
  const heading = useRef<HTMLHeadingElement>(null);
  const isAdmitted = stage.kind === "admitted";
  useTitle(sale.product.name);
  useTurnFocus(stage, isLoaded, heading);
  if (!isLoaded) return <div className="skeleton h-96" aria-busy="true" />;
  const title = t(headingKey(sale, stage));
  return (
    <section
      aria-labelledby="buyer-panel"
      data-stage={stage.kind}
      className={`panel ${isAdmitted ? "panel-urgent" : ""}`}
    >
      <div className="panel-head">
        <p className="truncate pb-1 text-sm lg:hidden" aria-hidden="true">
          <bdi>{sale.product.name}</bdi>
        </p>
        <h2 id="buyer-panel" ref={heading} tabIndex={-1} className="text-2xl sm:text-3xl">
          {title}
        </h2>
        <span role="status" className="sr-only">
          {title}
        </span>
      </div>
      <div className="panel-body grid gap-5">
        <StageContent {...props} />
        <ErrorNotice error={error} />
      </div>
    </section>
  );
}

/** A buyer in the line of a sold-out sale first reads that it is sold out. */
function headingKey(sale: Sale, stage: BuyerStage): TextKey {
  if (stage.kind === "waiting" && sale.availability === "sold_out") return "stage.sold_out";
  if (stage.kind === "bought" && salePayment(sale) === "collected") return "stage.bought_collected";
  return `stage.${stage.kind}`;
}

function StageContent({ sale, stage, orders, now }: StageProps): ReactNode {
  switch (stage.kind) {
    case "upcoming":
      return <UpcomingSale sale={sale} stage={stage} now={now} />;
    case "line":
      return (
        <>
          <PriceAndStock sale={sale} />
          <p>{t("line.open", { count: sale.waiting })}</p>
          {sale.availability === "all_held" && <p>{t("line.all_held")}</p>}
          <JoinLine sale={sale} />
        </>
      );
    case "waiting":
      return <PlaceInLine sale={sale} place={stage.place} now={now} />;
    case "admitted":
      return (
        <>
          <TurnTime end={stage.end} now={now} />
          <PriceAndStock sale={sale} />
          <p>{t("admitted.text")}</p>
          <BuyForm sale={sale} quantityMax={turnQuantityMax(sale, orders)} label="admitted.take" isTurn />
          <ExtendTurn sale={sale} place={stage.place} />
        </>
      );
    case "held":
      return <HeldUnits order={stage.order} untilMs={stage.untilMs} now={now} />;
    case "paying":
      return <UnitsBeingPaid order={stage.order} />;
    case "bought":
      return <BoughtUnits sale={sale} order={stage.order} mayBuyMore={stage.mayBuyMore} />;
    case "lapsed":
      return <MissedTurn sale={sale} at={stage.at} now={now} />;
    case "open":
      return (
        <>
          <PriceAndStock sale={sale} />
          <BuyForm sale={sale} quantityMax={sale.limitPerBuyer} label="open.buy" />
          <p className="text-sm text-soft">{t(OPEN_TEXTS[salePayment(sale)])}</p>
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
        <>
          <p>{t(OVER_TEXTS[stage.reason], { date: formatFullDateTime(sale.endsAt, locale()) })}</p>
          {stage.hadPlace && <p>{t("over.line")}</p>}
        </>
      );
  }
}

const OPEN_TEXTS = { paid: "open.text", collected: "open.text_collected", free: "open.text_free" } as const;
const OVER_TEXTS = { ended: "over.text", closed: "over.closed", deleted: "over.deleted" } as const;

function TurnTime({ end, now }: { end: TurnEnd; now: number | null }) {
  if (end.kind === "running") return <Countdown now={now} untilMs={end.untilMs} label="admitted.left" />;
  return (
    <>
      {end.kind === "frozen" && <FrozenCountdown leftMs={end.leftMs} label="admitted.left" />}
      <Notice>{t("admitted.paused")}</Notice>
    </>
  );
}

function MissedTurn({ sale, at, now }: { sale: Sale; at: string | null; now: number | null }) {
  const text = at === null ? t("lapsed.text") : t("lapsed.at", { time: formatTimeOfDay(at, now, locale()) });
  if (sale.availability === "sold_out") {
    return (
      <>
        <p>{text}</p>
        <p>{t("sold_out.text", { count: sale.quantity })}</p>
      </>
    );
  }
  return (
    <>
      <p>
        {text} {sale.status !== "paused" && t("lapsed.again")}
      </p>
      <PriceAndStock sale={sale} />
      {sale.status === "paused" ? <p>{t("paused.text")}</p> : <JoinLine sale={sale} />}
    </>
  );
}

interface UpcomingProps {
  sale: Sale;
  stage: BuyerStage & { kind: "upcoming" };
  now: number | null;
}

function UpcomingSale({ sale, stage, now }: UpcomingProps) {
  return (
    <>
      <StartTime sale={sale} now={now} />
      <PriceAndStock sale={sale} />
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

/** Moves the focus to the panel when the buyer is admitted, but not when the page opens in that stage. */
function useTurnFocus(
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
    heading.current?.focus({ preventScroll: true });
    heading.current?.scrollIntoView({ block: "center" });
  }, [key, heading]);
}
