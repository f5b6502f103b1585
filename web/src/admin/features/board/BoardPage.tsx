// The board: how a sale goes, while it goes. Stock and line are the engine's own; what is counted over time follows the ledger
// and says so when it is behind.

import { Link } from "wouter";
import { LoadError, Notice } from "../../../components/Notices";
import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { formatCountdown, formatDateTime } from "../../../lib/time";
import { useServerNow } from "../../../lib/useServerTime";
import { useTitle } from "../../../lib/useTitle";
import { Controls } from "../../components/Controls";
import { SaleHead } from "../../components/SaleHead";
import {
  type AdminSale,
  LIVE,
  type Overview,
  type Series,
  type Spans,
  type Summary,
  useLive,
  useOverview,
  useServer,
  useSummary,
  useWhole,
} from "../../lib/boardQueries";
import { isOver } from "../../lib/over";
import { t } from "../../lib/texts";
import { FiguresTable, LineChart, RateChart, WholeCharts } from "./Chart";
import { latelyOf, percentileMs, pieces, rate } from "./figures";
import { Figure, Figures, Funnel, Panel, Refusals, StockBar } from "./Parts";
import { spansText } from "./report";
import { formatRate, formatSpan } from "./scale";

/** Rates are told over the last complete pieces: ten seconds. */
const RATE_PIECES = 10 / LIVE.stepS;

export default function BoardPage({ id }: { id: string }) {
  const overview = useOverview(id);
  const sale = overview.data?.sale;
  const summary = useSummary(id);
  const live = useLive(sale);
  const whole = useWhole(summary.data);
  useTitle(sale?.product.name ?? "");
  if (overview.data === undefined) {
    return overview.error === null ? (
      <div className="skeleton h-96" aria-busy="true" />
    ) : (
      <LoadError error={overview.error} onRetry={() => void overview.refetch()} />
    );
  }
  const isCut = overview.failureCount > 0 || overview.isError;
  return (
    <div data-board={overview.data.sale.status}>
      <SaleHead sale={overview.data.sale}>
        <Controls sale={overview.data.sale} />
      </SaleHead>
      <div className="grid gap-5">
        <State sale={overview.data.sale} />
        {isCut && <Notice>{t("board.cut", { time: clockOf(overview.dataUpdatedAt) })}</Notice>}
        {!isCut && overview.data.projectionLag > 0 && (
          <div data-behind={overview.data.projectionLag}>
            <Notice>{t("board.behind", { count: overview.data.projectionLag })}</Notice>
          </div>
        )}
        <Now overview={overview.data} live={live.data} />
        <LiveCharts sale={overview.data.sale} series={live.data} />
        <div className="grid items-start gap-5 lg:grid-cols-2">
          <div className="grid gap-5">
            <Panel title={t("board.funnel.title")} note={t("board.funnel.note")}>
              {summary.data ? (
                <Funnel
                  totals={summary.data.totals}
                  hasLine={sale?.admission.type === "fifo"}
                  atOnce={sale?.payment === "none"}
                />
              ) : (
                <div className="skeleton h-32" />
              )}
            </Panel>
            <Waits summary={summary.data} />
          </div>
          <div className="grid gap-5">
            <Panel title={t("board.refused.title")} note={t("board.refused.note")}>
              <Refusals refusals={overview.data.refusals} />
            </Panel>
            <ThisServer />
          </div>
        </div>
        <WholeSale
          series={whole.data}
          hasBegun={summary.data?.firstActivityAt != null}
          sale={overview.data.sale}
        />
      </div>
    </div>
  );
}

const clockOf = (ms: number) => new Intl.DateTimeFormat(locale(), { timeStyle: "medium" }).format(ms);

/** Where the sale stands in time. */
function State({ sale }: { sale: AdminSale }) {
  const now = useServerNow();
  const startsMs = Date.parse(sale.startsAt);
  const endsMs = Date.parse(sale.endsAt);
  if (isOver(sale)) {
    return (
      <div className="flex flex-wrap items-center justify-between gap-4">
        <p>
          {sale.status === "closed"
            ? t("board.state.closed")
            : t("board.state.ended", { date: formatDateTime(sale.endsAt, locale()) })}
          {sale.held > 0 && ` ${t("board.state.held", { count: sale.held })}`}
        </p>
        <Link href={`/admin/sales/${sale.id}/summary`} className="button button-main">
          {t("board.state.summary")}
        </Link>
      </div>
    );
  }
  const isBefore = sale.status === "upcoming" && now < startsMs;
  return (
    <div className="grid gap-3">
      {sale.status === "paused" && <Notice>{t("board.state.paused")}</Notice>}
      <p className="flex flex-wrap items-baseline gap-x-3">
        <span className="text-soft">{t(isBefore ? "board.state.starts_in" : "board.state.ends_in")}</span>
        <span role="timer" aria-live="off" className="figure text-3xl">
          {formatCountdown((isBefore ? startsMs : endsMs) - now, locale())}
        </span>
        <span className="text-sm text-soft">
          {formatDateTime(isBefore ? sale.startsAt : sale.endsAt, locale())}
        </span>
      </p>
      {isBefore && <p className="text-soft">{lineWord(sale, now)}</p>}
    </div>
  );
}

function lineWord(sale: AdminSale, now: number): string {
  if (sale.admission.type !== "fifo") return t("board.state.no_line");
  const opensMs = Date.parse(sale.startsAt) - sale.admission.lineOpensSecondsBefore * 1000;
  return now >= opensMs
    ? t("board.state.line_open")
    : t("board.state.line_opens", { date: formatDateTime(new Date(opensMs).toISOString(), locale()) });
}

function Now({ overview, live }: { overview: Overview; live: Series | undefined }) {
  const { sale } = overview;
  const hasLine = sale.admission.type === "fifo";
  const perSecond = (of: "joined" | "admitted" | "ordered" | "confirmed" | "refused") =>
    live === undefined ? "…" : formatRate(rate(live, of, RATE_PIECES), locale());
  return (
    <Panel title={t("board.stock.title", { count: sale.quantity })}>
      <StockBar sale={sale} />
      <div className="mt-6 border-t border-line pt-5">
        <Figures>
          {hasLine && (
            <Figure
              name={t("board.now.waiting")}
              value={t("board.number", { count: sale.waiting })}
              mark="waiting"
            />
          )}
          <Figure
            name={t("board.now.revenue")}
            value={formatMoney(overview.revenue, locale())}
            mark="revenue"
          />
          <Figure
            name={t("board.now.last_minute")}
            value={t("board.number", { count: overview.ordersLastMinute })}
            mark="last-minute"
          />
          {hasLine && (
            <Figure name={t("board.now.joins")} value={perSecond("joined")} note={t("board.now.window")} />
          )}
          {hasLine && (
            <Figure name={t("board.now.admissions")} value={perSecond("admitted")} note={paceOf(sale)} />
          )}
          <Figure name={t("board.now.orders")} value={perSecond("ordered")} note={t("board.now.window")} />
          <Figure
            name={t("board.now.payments")}
            value={perSecond("confirmed")}
            note={t("board.now.window")}
          />
          <Figure name={t("board.now.refusals")} value={perSecond("refused")} note={t("board.now.window")} />
        </Figures>
      </div>
    </Panel>
  );
}

function paceOf(sale: AdminSale): string {
  return sale.admission.type === "fifo" ? t("board.now.pace", { count: sale.admission.perSecond }) : "";
}

function LiveCharts({ sale, series }: { sale: AdminSale; series: Series | undefined }) {
  if (isOver(sale) && sale.held === 0) return null;
  if (series === undefined) return <div className="skeleton h-48" />;
  const all = pieces(series);
  const stepMs = series.stepSeconds * 1000;
  const chart = { pieces: all, stepMs };
  const hasLine = sale.admission.type === "fifo";
  return (
    <Panel title={t("board.live.title")} note={t("board.live.note")}>
      <div className="grid gap-6 sm:grid-cols-2">
        {hasLine && <LineChart title={t("board.chart.waiting")} {...chart} />}
        {hasLine && <RateChart title={t("board.chart.joins")} of="joined" {...chart} />}
        {hasLine && <RateChart title={t("board.chart.admissions")} of="admitted" {...chart} />}
        <RateChart title={t("board.chart.orders")} of="ordered" {...chart} />
        {!hasLine && <RateChart title={t("board.chart.payments")} of="confirmed" {...chart} />}
      </div>
      <FiguresTable {...chart} />
    </Panel>
  );
}

function WholeSale({
  series,
  hasBegun,
  sale,
}: {
  series: Series | undefined;
  hasBegun: boolean;
  sale: AdminSale;
}) {
  if (!hasBegun) {
    return (
      <Panel title={t("board.whole.title")}>
        <p className="text-soft">{t("board.whole.none")}</p>
      </Panel>
    );
  }
  if (series === undefined) return <div className="skeleton h-48" />;
  return (
    <Panel title={t("board.whole.title")} note={t("board.whole.note")}>
      <WholeCharts series={series} hasLine={sale.admission.type === "fifo"} />
    </Panel>
  );
}

const SPANS = ["wait", "checkout", "payment"] as const;

function Waits({ summary }: { summary: Summary | undefined }) {
  const told = SPANS.flatMap((name) => (summary?.[name] ? [{ name, spans: summary[name] as Spans }] : []));
  if (told.length === 0) return null;
  return (
    <Panel title={t("board.waits.title")} note={t("board.waits.note")}>
      <dl className="grid gap-3">
        {told.map(({ name, spans }) => (
          <div key={name} data-span={name}>
            <dt>{t(`board.waits.${name}`)}</dt>
            <dd className="text-soft">{spansText(spans)}</dd>
          </div>
        ))}
      </dl>
    </Panel>
  );
}

const ROUTES = [
  ["/api/v1/queue/join", "board.server.join"],
  ["/api/v1/orders", "board.server.order"],
  ["/api/v1/orders/{id}/pay", "board.server.pay"],
] as const;

function ThisServer() {
  const { data } = useServer();
  const last = data?.at(-1);
  if (data === undefined || last === undefined) return null;
  return (
    <Panel title={t("board.server.title")} note={t("board.server.note")}>
      <dl className="grid gap-3">
        {ROUTES.map(([route, text]) => {
          const counts = latelyOf(data, route);
          const at = (share: number) => percentileMs(counts, last.boundsSeconds, share);
          const [half, most] = [at(0.5), at(0.99)];
          return (
            <div key={route}>
              <dt>{t(text)}</dt>
              <dd className="text-soft">
                {half === null || most === null
                  ? t("board.server.none")
                  : t("board.server.spans", {
                      half: formatSpan(half, locale()),
                      most: formatSpan(most, locale()),
                      count: counts.reduce((sum, count) => sum + count, 0),
                    })}
              </dd>
            </div>
          );
        })}
      </dl>
    </Panel>
  );
}
