// What a sale came to, in words and figures: one list, which the page shows, and which is shared as text or as a file. Pure but
// for the language.

import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { formatDateTime } from "../../../lib/time";
import type { Spans, Summary } from "../../lib/boardQueries";
import { isOver } from "../../lib/over";
import { type AdminKey, t } from "../../lib/texts";
import { inStatus } from "./figures";
import { formatMark, formatSpan } from "./scale";
import { refusalWords, share } from "./words";

interface Row {
  name: string;
  value: string;
  /** What it is called in tests. */
  mark?: string;
}

interface Group {
  title: string;
  rows: Row[];
}

export interface Report {
  title: string;
  /** When it was, and whether it is over. */
  when: string;
  /** Set while the sale goes on, or something of it is still open. */
  soFar: string | null;
  groups: Group[];
  fairness: string[];
}

export function spansText(spans: Spans): string {
  return t("board.waits.spans", {
    half: formatSpan(spans.p50Ms, locale()),
    most: formatSpan(spans.p95Ms, locale()),
  });
}

const count = (value: number) => t("board.number", { count: value });

export function reportOf(summary: Summary): Report {
  const { sale } = summary;
  return {
    title: sale.product.name,
    when: t("summary.when", {
      from: formatDateTime(sale.startsAt, locale()),
      to: formatDateTime(sale.endsAt, locale()),
    }),
    soFar: isOver(sale)
      ? sale.held > 0
        ? t("summary.still_open", { count: sale.held })
        : null
      : t("summary.so_far", { time: formatDateTime(sale.serverTime, locale()) }),
    groups: [sold(summary), speed(summary), way(summary), waits(summary), refused(summary)].filter(
      ({ rows }) => rows.length > 0,
    ),
    fairness: fairness(summary),
  };
}

function sold(summary: Summary): Group {
  const { sale, orders, revenue } = summary;
  const refunded = inStatus(orders, "refunded");
  return {
    title: t("summary.sold.title"),
    rows: [
      {
        name: t("summary.sold.units"),
        value: t("summary.sold.of", { sold: sale.sold, all: sale.quantity }),
        mark: "sold",
      },
      { name: t("summary.sold.through"), value: share(sale.sold, sale.quantity), mark: "through" },
      { name: t("summary.sold.revenue"), value: formatMoney(revenue, locale()), mark: "revenue" },
      { name: t("summary.sold.price"), value: formatMoney(sale.price, locale()) },
      { name: t("summary.sold.buyers"), value: count(summary.buyers), mark: "buyers" },
      {
        name: t("summary.sold.refunds"),
        value:
          refunded === undefined
            ? count(0)
            : t("summary.sold.refunds_of", {
                count: refunded.orders,
                total: formatMoney(refunded.total, locale()),
              }),
        mark: "refunds",
      },
    ],
  };
}

function speed(summary: Summary): Group {
  const { sale, takenAt, soldOutAt, ordersPeak, joinsPeak } = summary;
  const after = (at: string | null | undefined) =>
    at == null
      ? t("summary.speed.never")
      : formatSpan(Math.max(0, Date.parse(at) - Date.parse(sale.startsAt)), locale());
  const peak = (told: { at: string; count: number } | null | undefined) =>
    told == null
      ? null
      : t("summary.speed.peak", { count: told.count, time: formatMark(Date.parse(told.at), 0, locale()) });
  const rows: Row[] = [
    { name: t("summary.speed.taken"), value: after(takenAt), mark: "taken" },
    { name: t("summary.speed.sold_out"), value: after(soldOutAt), mark: "sold-out" },
  ];
  const [orders, joins] = [peak(ordersPeak), peak(joinsPeak)];
  if (orders !== null) rows.push({ name: t("summary.speed.orders"), value: orders, mark: "orders-peak" });
  if (joins !== null) rows.push({ name: t("summary.speed.joins"), value: joins, mark: "joins-peak" });
  return { title: t("summary.speed.title"), rows };
}

function way({ sale, totals }: Summary): Group {
  const hasLine = sale.admission.type === "fifo";
  const held = sale.payment === "none" ? [] : (["ordered"] as const);
  const steps = [
    ...(hasLine ? (["joined", "admitted"] as const) : []),
    ...held,
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
      name: t(`board.funnel.${step}` as AdminKey),
      value:
        at === 0 || first === 0
          ? count(totals[step])
          : `${count(totals[step])} (${share(totals[step], first)})`,
      mark: step,
    })),
  };
}

function waits(summary: Summary): Group {
  const rows = (["wait", "checkout", "payment"] as const).flatMap((name) => {
    const spans = summary[name];
    return spans ? [{ name: t(`board.waits.${name}`), value: spansText(spans), mark: name }] : [];
  });
  return { title: t("board.waits.title"), rows };
}

function refused({ refusals }: Summary): Group {
  const most = [...refusals].sort((a, b) => b.count - a.count);
  return {
    title: t("board.refused.title"),
    rows: most.map(({ code, count: many }) => ({ name: refusalWords(code), value: count(many), mark: code })),
  };
}

function fairness({ sale, totals, outOfOrder }: Summary): string[] {
  if (sale.admission.type !== "fifo") return [t("summary.fair.open"), t("summary.fair.verify")];
  const order =
    outOfOrder === 0
      ? t("summary.fair.line", { count: totals.admitted })
      : t("summary.fair.broken", { count: outOfOrder });
  return [order, t("summary.fair.verify")];
}

/** As text, for a mail or a chat. */
export function asText(report: Report): string {
  const lines = [report.title, report.when, ...(report.soFar === null ? [] : [report.soFar])];
  for (const { title, rows } of report.groups) {
    lines.push("", title, ...rows.map(({ name, value }) => `- ${name}: ${value}`));
  }
  lines.push("", t("summary.fair.title"), ...report.fairness);
  return `${lines.join("\n")}\n`;
}

function escaped(text: string): string {
  const names: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (sign) => names[sign] ?? sign);
}

/** The colours of the pages in light; the charts are drawn with them. */
const STYLE = `
:root { --paper: #f3efe6; --card: #fffdf8; --ink: #1f1b16; --soft: #5d554a; --line: #d8d0c0; --mark: #a8341a; --good: #20613b }
html { color-scheme: light }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin-bottom: 1.5rem }
th, td { text-align: start; vertical-align: top; padding: .3rem .5rem .3rem 0; border-bottom: 1px solid var(--line); font-weight: 400 }
td { text-align: end; font-variant-numeric: tabular-nums }
svg { display: block; width: 100%; height: 7rem; border: solid var(--line); border-width: 1px 0 }
figure { margin: 0 0 1.5rem } figcaption { font-weight: 600 }
.so-far { border-inline-start: 4px solid var(--mark); background: #f7e6c1; padding: .5rem 1rem }
`;

/** As one file that needs nothing else: no script, no request. `charts` are drawings with their titles. */
export function asHtml(
  report: Report,
  charts: readonly { title: string; said: string; svg: string }[],
  page: { code: string; direction: string },
): string {
  const groups = report.groups.map(({ title, rows }) => {
    const lines = rows.map(
      ({ name, value }) => `<tr><th scope="row">${escaped(name)}</th><td>${escaped(value)}</td></tr>`,
    );
    return `<h2>${escaped(title)}</h2>\n<table>\n${lines.join("\n")}\n</table>`;
  });
  const drawings = charts.map(
    ({ title, said, svg }) =>
      `<figure><figcaption>${escaped(title)}</figcaption>${svg}<p>${escaped(said)}</p></figure>`,
  );
  return `<!doctype html>
<html lang="${escaped(page.code)}" dir="${escaped(page.direction)}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(report.title)}</title><style>${STYLE}</style></head>
<body><main>
<h1>${escaped(report.title)}</h1>
<p>${escaped(report.when)}</p>
${report.soFar === null ? "" : `<p class="so-far">${escaped(report.soFar)}</p>`}
${groups.join("\n")}
${drawings.join("\n")}
<h2>${escaped(t("summary.fair.title"))}</h2>
${report.fairness.map((line) => `<p>${escaped(line)}</p>`).join("\n")}
</main></body></html>
`;
}
