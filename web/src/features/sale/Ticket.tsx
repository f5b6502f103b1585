// The buyer's ticket: what is so for this buyer now, and what to do next. When that changes, it says so: in the title of the
// tab, by a sound where one is allowed, and by moving to its heading when it is the buyer's turn.

import { type ReactNode, useEffect, useRef } from "react";
import { Failure } from "../../components/Notice";
import { Timer } from "../../components/Timer";
import type { Sale } from "../../lib/api";
import { chime } from "../../lib/chime";
import { language, type TextKey, t } from "../../lib/i18n";
import { type Stage, stageName } from "../../lib/stage";
import { formatMoment } from "../../lib/time";
import { useTitle } from "../../lib/title";
import { Buy } from "./Buy";
import { Bought, Held } from "./Mine";
import { MoreTime } from "./MoreTime";
import { Join, Waiting } from "./Queue";

interface Props {
  sale: Sale;
  stage: Stage;
  now: number;
  /** Whether the buyer's own place and orders are known already. */
  isKnown: boolean;
  error: unknown;
}

const HEADINGS: Record<Stage["kind"], TextKey> = {
  upcoming: "stage.upcoming",
  line: "stage.line",
  open: "stage.open",
  waiting: "stage.waiting",
  admitted: "stage.admitted",
  held: "stage.held",
  bought: "stage.bought",
  all_held: "stage.all_held",
  sold_out: "stage.sold_out",
  paused: "stage.paused",
  over: "stage.over",
};

export function Ticket({ sale, stage, now, isKnown, error }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  const isTurn = stage.kind === "admitted";
  useTitle(titleOf(stage, sale));
  useNews(stage, isKnown, heading);
  if (!isKnown) return <div className="skeleton h-96" aria-busy="true" />;
  return (
    <section
      aria-labelledby="ticket"
      data-stage={stage.kind}
      className={`ticket ${isTurn ? "outline-4 outline-mark" : ""}`}
    >
      <div className={`ticket-stub ${isTurn ? "bg-mark text-mark-ink" : ""}`}>
        <p className="truncate pb-1 text-sm lg:hidden" aria-hidden="true">
          <bdi>{sale.product.name}</bdi>
        </p>
        <h2 id="ticket" ref={heading} tabIndex={-1} className="text-2xl sm:text-3xl">
          {t(HEADINGS[stage.kind])}
        </h2>
        <span role="status" className="sr-only">
          {t(HEADINGS[stage.kind])}
        </span>
      </div>
      <div className="grid gap-5 p-7 pt-6">
        <Body sale={sale} stage={stage} now={now} />
        <Failure error={error} />
      </div>
    </section>
  );
}

function Body({ sale, stage, now }: { sale: Sale; stage: Stage; now: number }): ReactNode {
  switch (stage.kind) {
    case "upcoming":
      return <Upcoming sale={sale} stage={stage} now={now} />;
    case "line":
      return (
        <>
          <p>{t("line.open", { count: sale.waiting })}</p>
          {sale.availability === "all_held" && <p>{t("line.all_held")}</p>}
          <Join sale={sale} />
        </>
      );
    case "waiting":
      return <Waiting sale={sale} place={stage.place} />;
    case "admitted":
      return (
        <>
          <Timer now={now} untilMs={stage.untilMs} label="admitted.left" />
          <p>{t("admitted.text")}</p>
          <Buy sale={sale} most={sale.limitPerBuyer} label="admitted.take" />
          <MoreTime sale={sale} place={stage.place} />
        </>
      );
    case "held":
      return <Held order={stage.order} untilMs={stage.untilMs} now={now} />;
    case "bought":
      return <Bought sale={sale} order={stage.order} mayBuyMore={stage.mayBuyMore} />;
    case "open":
      return (
        <>
          <p className="text-lg text-good">{t("open.left", { count: sale.available })}</p>
          <Buy sale={sale} most={sale.limitPerBuyer} label="open.buy" />
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
          {t(stage.closed ? "over.closed" : "over.text", { date: formatMoment(sale.endsAt, language()) })}
        </p>
      );
  }
}

function Upcoming({ sale, stage, now }: { sale: Sale; stage: Stage & { kind: "upcoming" }; now: number }) {
  return (
    <>
      <Timer now={now} untilMs={stage.startsMs} label="upcoming.starts_in" className="text-6xl" />
      <p>{formatMoment(sale.startsAt, language())}</p>
      {stage.line === "none" && <p>{t("upcoming.open")}</p>}
      {stage.line === "open" && (
        <>
          <p>{t("upcoming.line_open", { count: sale.waiting })}</p>
          <Join sale={sale} />
        </>
      )}
      {typeof stage.line === "object" && (
        <p>
          {t("upcoming.line_opens", {
            date: formatMoment(new Date(stage.line.opensMs).toISOString(), language()),
          })}
        </p>
      )}
    </>
  );
}

function titleOf(stage: Stage, sale: Sale): string {
  const name = sale.product.name;
  if (stage.kind === "admitted") return `● ${t("title.admitted")} · ${name}`;
  if (stage.kind === "held") return `● ${t("title.held")} · ${name}`;
  if (stage.kind === "waiting") return `${t("title.waiting", { count: stage.place.ahead })} · ${name}`;
  return name;
}

/** Brings the buyer to the ticket when it is their turn, wherever on the page they were. */
function useNews(stage: Stage, isKnown: boolean, heading: React.RefObject<HTMLHeadingElement | null>): void {
  const name = isKnown ? stageName(stage) : null;
  const before = useRef<string | null>(null);
  useEffect(() => {
    if (name === null || name === before.current) return;
    const isFirst = before.current === null;
    before.current = name;
    if (isFirst || name !== "admitted") return;
    chime();
    heading.current?.focus({ preventScroll: true });
    heading.current?.scrollIntoView({ block: "center" });
  }, [name, heading]);
}
