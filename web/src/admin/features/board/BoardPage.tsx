// The board: the live figures of one sale. Stock and line come from the engine. The series come from the projected tables; a notice
// says when these lag behind the ledger.

import { Link } from "wouter";
import { LoadError, Notice } from "../../../components/Notices";
import type { AdminSale } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { isSaleOver } from "../../../lib/saleStatus";
import { formatCountdown, formatDateTime } from "../../../lib/time";
import { useServerNow } from "../../../lib/useServerTime";
import { useTitle } from "../../../lib/useTitle";
import { AdminNotFound } from "../../components/AdminNotFound";
import { ProviderNotices } from "../../components/ProviderNotices";
import { SaleControls } from "../../components/SaleControls";
import { SaleHeader } from "../../components/SaleHeader";
import { t } from "../../lib/texts";
import { Figure, FigureList, Funnel, Panel, RefusalList, StockBar } from "./BoardPanels";
import { RateChart, SaleCharts, SeriesTable, WaitingChart } from "./Charts";
import {
  LIVE_WINDOW,
  type Overview,
  type Series,
  type Spans,
  type Summary,
  useLiveSeries,
  useOverview,
  useSaleSeries,
  useServerReports,
  useSummary,
} from "./queries";
import { describeSpans } from "./report";
import { formatDuration, formatRate } from "./scale";
import { estimatePercentileMs, expandSeries, recentCounts, recentRate } from "./series";

/** Rates are those of the last ten complete seconds. */
const RATE_STEPS = 10 / LIVE_WINDOW.stepS;

export default function BoardPage({ id }: { id: string }) {
  const overview = useOverview(id);
  const sale = overview.data?.sale;
  const summary = useSummary(id);
  const live = useLiveSeries(sale);
  const whole = useSaleSeries(summary.data);
  useTitle(sale?.product.name ?? "");
  if (overview.data === undefined) {
    return overview.error === null ? (
      <div className="skeleton h-96" aria-busy="true" />
    ) : (
      <LoadError error={overview.error} onRetry={overview.refetch} lost={<AdminNotFound />} />
    );
  }
  const isDisconnected = overview.failureCount > 0 || overview.isError;
  return (
    <div data-board={overview.data.sale.status}>
      <SaleHeader sale={overview.data.sale}>
        <SaleControls sale={overview.data.sale} />
      </SaleHeader>
      <ProviderNotices sale={overview.data.sale} />
      <div className="grid gap-5">
        <SaleTiming sale={overview.data.sale} />
        {isDisconnected && <Notice>{t("board.cut", { time: formatClock(overview.dataUpdatedAt) })}</Notice>}
        {!isDisconnected && overview.data.projectionLag > 0 && (
          <div data-behind={overview.data.projectionLag}>
            <Notice>{t("board.behind", { count: overview.data.projectionLag })}</Notice>
          </div>
        )}
        <CurrentFigures overview={overview.data} live={live.data} />
        <LiveCharts sale={overview.data.sale} series={live.data} />
        <div className="grid items-start gap-5 lg:grid-cols-2">
          <div className="grid gap-5">
            <Panel title={t("board.funnel.title")} note={t("board.funnel.note")}>
              {summary.data ? (
                <Funnel
                  totals={summary.data.totals}
                  hasLine={sale?.admission.type === "fifo"}
                  isSoldAtOnce={sale?.payment === "none"}
                />
              ) : (
                <div className="skeleton h-32" />
              )}
            </Panel>
            <WaitTimes summary={summary.data} />
          </div>
          <div className="grid gap-5">
            <Panel title={t("board.refused.title")} note={t("board.refused.note")}>
              <RefusalList refusals={overview.data.refusals} />
            </Panel>
            <ServerLatencies />
          </div>
        </div>
        <SaleHistory
          series={whole.data}
          hasStarted={summary.data?.firstActivityAt != null}
          sale={overview.data.sale}
        />
      </div>
    </div>
  );
}

const formatClock = (ms: number) => new Intl.DateTimeFormat(locale(), { timeStyle: "medium" }).format(ms);

function SaleTiming({ sale }: { sale: AdminSale }) {
  const now = useServerNow();
  const startsMs = Date.parse(sale.startsAt);
  const endsMs = Date.parse(sale.endsAt);
  if (isSaleOver(sale)) {
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
  const isBefore = sale.status === "upcoming" && (now === null || now < startsMs);
  return (
    <div className="grid gap-3">
      {sale.status === "paused" && <Notice>{t("board.state.paused")}</Notice>}
      <p className="flex flex-wrap items-baseline gap-x-3">
        <span className="text-soft">{t(isBefore ? "board.state.starts_in" : "board.state.ends_in")}</span>
        <span role="timer" aria-live="off" className="figure text-3xl">
          {now === null ? "–" : formatCountdown((isBefore ? startsMs : endsMs) - now, locale())}
        </span>
        <span className="text-sm text-soft">
          {formatDateTime(isBefore ? sale.startsAt : sale.endsAt, locale())}
        </span>
      </p>
      {isBefore && <p className="text-soft">{describeLine(sale, now)}</p>}
    </div>
  );
}

function describeLine(sale: AdminSale, now: number | null): string {
  if (sale.admission.type !== "fifo") return t("board.state.no_line");
  const opensMs = Date.parse(sale.startsAt) - sale.admission.lineOpensSecondsBefore * 1000;
  return now !== null && now >= opensMs
    ? t("board.state.line_open")
    : t("board.state.line_opens", { date: formatDateTime(new Date(opensMs).toISOString(), locale()) });
}

function CurrentFigures({ overview, live }: { overview: Overview; live: Series | undefined }) {
  const { sale } = overview;
  const hasLine = sale.admission.type === "fifo";
  const number = (count: number) => t("board.number", { count });
  const perSecond = (count: "joined" | "admitted" | "ordered" | "confirmed" | "refused") => ({
    value: live === undefined ? "…" : formatRate(recentRate(live, count, RATE_STEPS), locale()),
    note: t("board.now.window"),
  });
  return (
    <Panel title={t("board.stock.title", { count: sale.quantity })}>
      <StockBar sale={sale} />
      <div className="mt-6 border-t border-line pt-5">
        <FigureList>
          {hasLine && <Figure name={t("board.now.waiting")} value={number(sale.waiting)} testId="waiting" />}
          <Figure
            name={t("board.now.revenue")}
            value={formatMoney(overview.revenue, locale())}
            testId="revenue"
          />
          <Figure
            name={t("board.now.last_minute")}
            value={number(overview.ordersLastMinute)}
            testId="last-minute"
          />
          {hasLine && <Figure name={t("board.now.joins")} {...perSecond("joined")} />}
          {hasLine && (
            <Figure name={t("board.now.admissions")} {...perSecond("admitted")} note={admissionRate(sale)} />
          )}
          <Figure name={t("board.now.orders")} {...perSecond("ordered")} />
          <Figure name={t("board.now.payments")} {...perSecond("confirmed")} />
          <Figure name={t("board.now.refusals")} {...perSecond("refused")} />
        </FigureList>
      </div>
    </Panel>
  );
}

function admissionRate(sale: AdminSale): string {
  return sale.admission.type === "fifo" ? t("board.now.pace", { count: sale.admission.perSecond }) : "";
}

function LiveCharts({ sale, series }: { sale: AdminSale; series: Series | undefined }) {
  if (isSaleOver(sale) && sale.held === 0) return null;
  if (series === undefined) return <div className="skeleton h-48" />;
  const steps = expandSeries(series);
  const stepMs = series.stepSeconds * 1000;
  const chart = { steps, stepMs };
  const hasLine = sale.admission.type === "fifo";
  return (
    <Panel title={t("board.live.title")} note={t("board.live.note")}>
      <div className="grid gap-6 sm:grid-cols-2">
        {hasLine && <WaitingChart title={t("board.chart.waiting")} {...chart} />}
        {hasLine && <RateChart title={t("board.chart.joins")} count="joined" {...chart} />}
        {hasLine && <RateChart title={t("board.chart.admissions")} count="admitted" {...chart} />}
        <RateChart title={t("board.chart.orders")} count="ordered" {...chart} />
        {!hasLine && <RateChart title={t("board.chart.payments")} count="confirmed" {...chart} />}
      </div>
      <SeriesTable {...chart} />
    </Panel>
  );
}

function SaleHistory({
  series,
  hasStarted,
  sale,
}: {
  series: Series | undefined;
  hasStarted: boolean;
  sale: AdminSale;
}) {
  if (!hasStarted) {
    return (
      <Panel title={t("board.whole.title")}>
        <p className="text-soft">{t("board.whole.none")}</p>
      </Panel>
    );
  }
  if (series === undefined) return <div className="skeleton h-48" />;
  return (
    <Panel title={t("board.whole.title")} note={t("board.whole.note")}>
      <SaleCharts series={series} hasLine={sale.admission.type === "fifo"} />
    </Panel>
  );
}

const SPANS = ["wait", "checkout", "payment"] as const;

function WaitTimes({ summary }: { summary: Summary | undefined }) {
  const known = SPANS.flatMap((name) => (summary?.[name] ? [{ name, spans: summary[name] as Spans }] : []));
  if (known.length === 0) return null;
  return (
    <Panel title={t("board.waits.title")} note={t("board.waits.note")}>
      <dl className="grid gap-3">
        {known.map(({ name, spans }) => (
          <div key={name} data-span={name}>
            <dt>{t(`board.waits.${name}`)}</dt>
            <dd className="text-soft">{describeSpans(spans)}</dd>
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

function ServerLatencies() {
  const { data } = useServerReports();
  const last = data?.at(-1);
  if (data === undefined || last === undefined) return null;
  return (
    <Panel title={t("board.server.title")} note={t("board.server.note")}>
      <dl className="grid gap-3">
        {ROUTES.map(([route, text]) => {
          const counts = recentCounts(data, route);
          const percentileMs = (share: number) => estimatePercentileMs(counts, last.boundsSeconds, share);
          const [medianMs, p99Ms] = [percentileMs(0.5), percentileMs(0.99)];
          return (
            <div key={route}>
              <dt>{t(text)}</dt>
              <dd className="text-soft">
                {medianMs === null || p99Ms === null
                  ? t("board.server.none")
                  : t("board.server.spans", {
                      half: formatDuration(medianMs, locale()),
                      most: formatDuration(p99Ms, locale()),
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
