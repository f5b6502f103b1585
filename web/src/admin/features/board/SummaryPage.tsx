// The report of a sale on one page, which can be printed, copied as text or downloaded.

import { useRef, useState } from "react";
import { Link } from "wouter";
import { LoadError, Notice } from "../../../components/Notices";
import { LANGUAGES, useLanguage } from "../../../lib/i18n";
import { isolateText } from "../../../lib/isolateText";
import { useTitle } from "../../../lib/useTitle";
import { AdminNotFound } from "../../components/AdminNotFound";
import { SaleControls } from "../../components/SaleControls";
import { SaleHeader } from "../../components/SaleHeader";
import { type AdminTextKey, t } from "../../lib/texts";
import { Panel, StockBar } from "./BoardPanels";
import { SaleCharts } from "./Charts";
import { useSaleSeries, useSummary } from "./queries";
import { buildReport, type ChartImage, formatReportHtml, formatReportText, type Report } from "./report";

export default function SummaryPage({ id }: { id: string }) {
  const summary = useSummary(id);
  const series = useSaleSeries(summary.data);
  const page = useRef<HTMLDivElement>(null);
  useTitle(summary.data ? t("summary.title", { name: isolateText(summary.data.sale.product.name) }) : "");
  if (summary.data === undefined) {
    return summary.error === null ? (
      <div className="skeleton h-96" aria-busy="true" />
    ) : (
      <LoadError error={summary.error} onRetry={summary.refetch} lost={<AdminNotFound />} />
    );
  }
  const { sale } = summary.data;
  const report = buildReport(summary.data);
  return (
    <div ref={page} data-summary={report.soFar === null ? "final" : "so-far"}>
      <SaleHeader sale={sale}>
        <SaleControls sale={sale} />
      </SaleHeader>
      <div className="grid gap-5">
        <div className="flex flex-wrap items-center justify-between gap-4">
          <p className="text-soft">{report.period}</p>
          <ShareButtons report={report} slug={sale.slug} charts={() => collectCharts(page.current)} />
        </div>
        {report.soFar !== null && <Notice>{report.soFar}</Notice>}
        {summary.data.projectionLag > 0 && (
          <Notice>{t("board.behind", { count: summary.data.projectionLag })}</Notice>
        )}
        <Panel title={t("board.stock.title", { count: sale.quantity })}>
          <StockBar sale={sale} />
        </Panel>
        <div className="grid items-start gap-5 lg:grid-cols-2">
          {report.groups.map((group) => (
            <Panel key={group.title} title={group.title}>
              <dl className="grid gap-2">
                {group.rows.map(({ name, value, testId }) => (
                  <div
                    key={name}
                    data-row={testId}
                    className="flex flex-wrap justify-between gap-x-6 border-b border-line pb-2 last:border-0"
                  >
                    <dt className="text-soft">{name}</dt>
                    <dd className="font-semibold tabular-nums [overflow-wrap:anywhere]">{value}</dd>
                  </div>
                ))}
              </dl>
            </Panel>
          ))}
        </div>
        <Panel title={t("board.whole.title")}>
          {series.data ? (
            <SaleCharts series={series.data} hasLine={sale.admission.type === "fifo"} />
          ) : (
            <p className="text-soft">{t("board.whole.none")}</p>
          )}
        </Panel>
        <Panel title={t("summary.fair.title")}>
          {report.fairness.map((line) => (
            <p key={line} className="max-w-prose pb-2">
              {line}
            </p>
          ))}
          <code className="block overflow-x-auto py-1 text-sm whitespace-pre-wrap">
            doorbuster verify --data …
          </code>
          <Link href={`/admin/sales/${sale.id}/ledger`} className="no-print text-link inline-block py-2">
            {t("summary.fair.ledger")}
          </Link>
        </Panel>
      </div>
    </div>
  );
}

/** Copies the charts of the page. */
function collectCharts(page: HTMLElement | null): ChartImage[] {
  const found = [...(page?.querySelectorAll<SVGSVGElement>("svg[data-chart]") ?? [])];
  return found.map((chart) => {
    const copy = chart.cloneNode(true) as SVGSVGElement;
    copy.removeAttribute("class");
    const title = chart.dataset.chart ?? "";
    const label = chart.getAttribute("aria-label") ?? "";
    const description = label.startsWith(`${title}. `) ? label.slice(title.length + 2) : label;
    return { title, description, svg: copy.outerHTML };
  });
}

function ShareButtons({
  report,
  slug,
  charts,
}: {
  report: Report;
  slug: string;
  charts: () => ChartImage[];
}) {
  const code = useLanguage();
  const [result, setResult] = useState<"copied" | "not_copied" | null>(null);
  const [text, setText] = useState<string | null>(null);
  const copy = async () => {
    const copied = formatReportText(report);
    try {
      await navigator.clipboard.writeText(copied);
      setResult("copied");
      setText(null);
    } catch {
      // Without TLS or permission the page cannot write to the clipboard; it shows the text for copying by hand.
      setResult("not_copied");
      setText(copied);
    }
  };
  const download = () => {
    const html = formatReportHtml(report, charts(), { code, direction: LANGUAGES[code].direction });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([html], { type: "text/html;charset=utf-8" }));
    link.download = `${slug}-summary.html`;
    link.click();
    // By then the browser has started to copy the file.
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  const button = (label: AdminTextKey, act: () => void) => (
    <button type="button" className="button button-quiet min-h-10 px-4 py-1.5" onClick={act}>
      {t(label)}
    </button>
  );
  return (
    <div className="no-print flex flex-wrap items-center gap-3">
      {button("summary.share.print", () => window.print())}
      {button("summary.share.copy", () => void copy())}
      {button("summary.share.download", download)}
      <span role="status" className="text-sm text-soft">
        {result !== null && t(`summary.share.${result}`)}
      </span>
      {text !== null && (
        <textarea
          readOnly
          className="field basis-full font-mono text-sm"
          rows={8}
          value={text}
          aria-label={t("summary.share.text")}
          onFocus={(event) => event.target.select()}
        />
      )}
    </div>
  );
}
