// The report of a sale: the texts and figures that the summary shows, as one list. It can be shared as text or as an HTML file. Pure
// except for the language.

import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { isSaleOver } from "../../../lib/saleStatus";
import { formatDateTime } from "../../../lib/time";
import { type AdminTextKey, t } from "../../lib/texts";
import { describeRefusal } from "./describeRefusal";
import { formatShare } from "./formatShare";
import type { Spans, Summary } from "./queries";
import { formatAxisTime, formatDuration } from "./scale";

interface ReportRow {
  name: string;
  value: string;
  /** Finds the row in browser tests. */
  testId?: string;
}

interface ReportGroup {
  title: string;
  rows: ReportRow[];
}

export interface Report {
  title: string;
  period: string;
  /** Set while the sale is not over, or while some units are still held. */
  soFar: string | null;
  groups: ReportGroup[];
  fairness: string[];
}

export function describeSpans(spans: Spans): string {
  return t("board.waits.spans", {
    half: formatDuration(spans.p50Ms, locale()),
    most: formatDuration(spans.p95Ms, locale()),
  });
}

const count = (value: number) => t("board.number", { count: value });

export function buildReport(summary: Summary): Report {
  const { sale } = summary;
  return {
    title: sale.product.name,
    period: t("summary.when", {
      from: formatDateTime(sale.startsAt, locale()),
      to: formatDateTime(sale.endsAt, locale()),
    }),
    soFar: isSaleOver(sale)
      ? sale.held > 0
        ? t("summary.still_open", { count: sale.held })
        : null
      : t("summary.so_far", { time: formatDateTime(sale.serverTime, locale()) }),
    groups: [
      unitsGroup(summary),
      speedGroup(summary),
      funnelGroup(summary),
      waitsGroup(summary),
      refusalsGroup(summary),
    ].filter(({ rows }) => rows.length > 0),
    fairness: describeFairness(summary),
  };
}

function unitsGroup({ sale, orders, revenue, buyers }: Summary): ReportGroup {
  const refunded = orders.find(({ status }) => status === "refunded");
  const refunds = refunded && {
    count: refunded.orders,
    total: formatMoney(refunded.total, locale()),
  };
  const sold = t("summary.sold.of", { sold: sale.sold, all: sale.quantity });
  return {
    title: t("summary.sold.title"),
    rows: [
      { name: t("summary.sold.units"), value: sold, testId: "sold" },
      { name: t("summary.sold.through"), value: formatShare(sale.sold, sale.quantity), testId: "through" },
      { name: t("summary.sold.revenue"), value: formatMoney(revenue, locale()), testId: "revenue" },
      { name: t("summary.sold.price"), value: formatMoney(sale.price, locale()) },
      { name: t("summary.sold.buyers"), value: count(buyers), testId: "buyers" },
      {
        name: t("summary.sold.refunds"),
        value: refunds ? t("summary.sold.refunds_of", refunds) : count(0),
        testId: "refunds",
      },
    ],
  };
}

function speedGroup({ sale, takenAt, soldOutAt, ordersPeak, joinsPeak }: Summary): ReportGroup {
  const startMs = Date.parse(sale.startsAt);
  const sinceStart = (at: string | null | undefined) =>
    at == null ? t("summary.speed.never") : formatDuration(Math.max(0, Date.parse(at) - startMs), locale());
  const peakRow = (name: string, testId: string, peak: Summary["ordersPeak"]): ReportRow[] => {
    if (peak == null) return [];
    const time = formatAxisTime(Date.parse(peak.at), 0, locale());
    return [{ name, value: t("summary.speed.peak", { count: peak.count, time }), testId }];
  };
  return {
    title: t("summary.speed.title"),
    rows: [
      { name: t("summary.speed.taken"), value: sinceStart(takenAt), testId: "taken" },
      { name: t("summary.speed.sold_out"), value: sinceStart(soldOutAt), testId: "sold-out" },
      ...peakRow(t("summary.speed.orders"), "orders-peak", ordersPeak),
      ...peakRow(t("summary.speed.joins"), "joins-peak", joinsPeak),
    ],
  };
}

function funnelGroup({ sale, totals }: Summary): ReportGroup {
  const hasLine = sale.admission.type === "fifo";
  const steps = [
    ...(hasLine ? (["joined", "admitted"] as const) : []),
    ...(sale.payment === "none" ? [] : (["ordered"] as const)),
    "confirmed",
    ...(hasLine ? (["left", "lapsed"] as const) : []),
    "expired",
    "declined",
    "cancelled",
  ] as const;
  const first = totals[steps[0] ?? "confirmed"];
  return {
    title: t("board.funnel.title"),
    rows: steps.map((step, at) => ({
      name: t(`board.funnel.${step}` as AdminTextKey),
      value:
        at === 0 || first === 0
          ? count(totals[step])
          : `${count(totals[step])} (${formatShare(totals[step], first)})`,
      testId: step,
    })),
  };
}

function waitsGroup(summary: Summary): ReportGroup {
  const rows = (["wait", "checkout", "payment"] as const).flatMap((name) => {
    const spans = summary[name];
    return spans ? [{ name: t(`board.waits.${name}`), value: describeSpans(spans), testId: name }] : [];
  });
  return { title: t("board.waits.title"), rows };
}

function refusalsGroup({ refusals }: Summary): ReportGroup {
  const sorted = [...refusals].sort((a, b) => b.count - a.count);
  return {
    title: t("board.refused.title"),
    rows: sorted.map(({ code, count: requests }) => ({
      name: describeRefusal(code),
      value: count(requests),
      testId: code,
    })),
  };
}

function describeFairness({ sale, totals, outOfOrder }: Summary): string[] {
  if (sale.admission.type !== "fifo") return [t("summary.fair.open"), t("summary.fair.verify")];
  const order =
    outOfOrder === 0
      ? t("summary.fair.line", { count: totals.admitted })
      : t("summary.fair.broken", { count: outOfOrder });
  return [order, t("summary.fair.verify")];
}

/** The report as text, for a mail or a chat. */
export function formatReportText(report: Report): string {
  const lines = [report.title, report.period, ...(report.soFar === null ? [] : [report.soFar])];
  for (const { title, rows } of report.groups) {
    lines.push("", title, ...rows.map(({ name, value }) => `- ${name}: ${value}`));
  }
  lines.push("", t("summary.fair.title"), ...report.fairness);
  return `${lines.join("\n")}\n`;
}

function escapeHtml(text: string): string {
  const names: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (sign) => names[sign] ?? sign);
}

/** The light colours of the pages, which the charts use. */
const STYLE = `
:root { --paper: #f3efe6; --card: #fffdf8; --ink: #1f1b16; --soft: #5d554a; --line: #d8d0c0; --testId: #a8341a; --good: #20613b }
html { color-scheme: light }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin-bottom: 1.5rem }
th, td { text-align: start; vertical-align: top; padding: .3rem .5rem .3rem 0; border-bottom: 1px solid var(--line); font-weight: 400 }
td { text-align: end; font-variant-numeric: tabular-nums }
svg { display: block; width: 100%; height: 7rem; border: solid var(--line); border-width: 1px 0 }
figure { margin: 0 0 1.5rem } figcaption { font-weight: 600 }
.so-far { border-inline-start: 4px solid var(--mark); background: #f7e6c1; padding: .5rem 1rem }
`;

export interface ChartImage {
  title: string;
  description: string;
  svg: string;
}

/** The report as one HTML file, without scripts and without requests. */
export function formatReportHtml(
  report: Report,
  charts: readonly ChartImage[],
  page: { code: string; direction: string },
): string {
  const groups = report.groups.map(({ title, rows }) => {
    const lines = rows.map(
      ({ name, value }) => `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`,
    );
    return `<h2>${escapeHtml(title)}</h2>\n<table>\n${lines.join("\n")}\n</table>`;
  });
  const figures = charts.map(
    ({ title, description, svg }) =>
      `<figure><figcaption>${escapeHtml(title)}</figcaption>${svg}<p>${escapeHtml(description)}</p></figure>`,
  );
  return `<!doctype html>
<html lang="${escapeHtml(page.code)}" dir="${escapeHtml(page.direction)}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(report.title)}</title><style>${STYLE}</style></head>
<body><main>
<h1>${escapeHtml(report.title)}</h1>
<p>${escapeHtml(report.period)}</p>
${report.soFar === null ? "" : `<p class="so-far">${escapeHtml(report.soFar)}</p>`}
${groups.join("\n")}
${figures.join("\n")}
<h2>${escapeHtml(t("summary.fair.title"))}</h2>
${report.fairness.map((line) => `<p>${escapeHtml(line)}</p>`).join("\n")}
</main></body></html>
`;
}
