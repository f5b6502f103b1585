// The panels of the board and the summary: figures, stock, funnel and refusals.

import { type ReactNode, useId } from "react";
import type { AdminSale } from "../../../lib/api";
import { type AdminTextKey, t } from "../../lib/texts";
import { UnitPatterns } from "./Charts";
import { describeRefusal } from "./describeRefusal";
import { formatShare } from "./formatShare";
import type { Counts } from "./queries";

export function Panel({ title, note, children }: { title: string; note?: string; children: ReactNode }) {
  const id = useId();
  return (
    <section
      aria-labelledby={id}
      className="min-w-0 break-inside-avoid rounded-xl border border-line bg-card p-4 sm:p-5"
    >
      <h2 id={id} className="text-xl">
        {title}
      </h2>
      {note !== undefined && <p className="pt-1 text-sm text-soft">{note}</p>}
      <div className="pt-4">{children}</div>
    </section>
  );
}

export function FigureList({ children }: { children: ReactNode }) {
  return <dl className="grid grid-cols-2 gap-x-4 gap-y-5 sm:grid-cols-3 lg:grid-cols-4">{children}</dl>;
}

export function Figure({
  name,
  value,
  note,
  testId,
}: {
  name: string;
  value: string;
  note?: string;
  testId?: string;
}) {
  return (
    <div className="min-w-0" data-figure={testId}>
      <dt className="text-sm text-soft">{name}</dt>
      <dd className="figure pt-1 text-2xl [overflow-wrap:anywhere]">{value}</dd>
      {note !== undefined && <dd className="pt-1 text-xs text-soft">{note}</dd>}
    </div>
  );
}

const PARTS = ["sold", "held", "admitted", "available"] as const;
const BAR = { width: 1_000, height: 56 };

/** All units of a sale as a bar: sold, held, reserved for admitted buyers, free. */
export function StockBar({ sale }: { sale: AdminSale }) {
  const id = useId().replace(/\W/g, "");
  const fills = {
    sold: "var(--good)",
    held: `url(#${id}-held)`,
    admitted: `url(#${id}-admitted)`,
    available: "var(--paper)",
  };
  let x = 0;
  const segments = PARTS.map((part) => {
    const width = (sale[part] / Math.max(1, sale.quantity)) * BAR.width;
    const segment = { part, x, width };
    x += width;
    return segment;
  });
  const values = {
    sold: sale.sold,
    held: sale.held,
    admitted: sale.admitted,
    available: sale.available,
    quantity: sale.quantity,
  };
  return (
    <div>
      <svg
        role="img"
        aria-label={t("board.stock.said", values)}
        viewBox={`0 0 ${BAR.width} ${BAR.height}`}
        preserveAspectRatio="none"
        className="block h-12 w-full rounded border border-soft rtl:-scale-x-100"
      >
        <UnitPatterns id={id} scale={2} />
        {segments.map((segment) => (
          <rect
            key={segment.part}
            x={segment.x}
            width={segment.width}
            height={BAR.height}
            fill={fills[segment.part]}
          />
        ))}
        {segments
          .slice(1)
          .map(
            ({ part, x: at }) =>
              at > 0 &&
              at < BAR.width && (
                <line
                  key={part}
                  x1={at}
                  x2={at}
                  y1="0"
                  y2={BAR.height}
                  stroke="var(--ink)"
                  strokeWidth="2"
                  vectorEffect="non-scaling-stroke"
                />
              ),
          )}
      </svg>
      <ul className="grid grid-cols-2 gap-x-4 gap-y-3 pt-4 sm:grid-cols-4">
        {PARTS.map((part) => (
          <li key={part} className="flex min-w-0 items-start gap-2" data-units={part} data-count={sale[part]}>
            <svg viewBox="0 0 16 16" className="mt-1 size-4 shrink-0 border border-soft" aria-hidden="true">
              <rect width="16" height="16" fill={fills[part]} />
            </svg>
            <span className="min-w-0">
              <span className="figure block text-2xl">{t("board.number", { count: sale[part] })}</span>
              <span className="block text-sm text-soft">
                {t(`board.stock.${part}`)} · {formatShare(sale[part], sale.quantity)}
              </span>
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** The steps from joining to paying, each with its share of the first step. */
export function Funnel({
  totals,
  hasLine,
  isSoldAtOnce,
}: {
  totals: Counts;
  hasLine: boolean;
  isSoldAtOnce: boolean;
}) {
  const lineSteps: (keyof Counts)[] = hasLine ? ["joined", "admitted"] : [];
  const steps: (keyof Counts)[] = isSoldAtOnce
    ? [...lineSteps, "confirmed"]
    : [...lineSteps, "ordered", "confirmed"];
  const first = totals[steps[0] ?? "ordered"];
  const losses: (keyof Counts)[] = ["expired", "declined", "cancelled", "refunded"];
  if (hasLine) losses.unshift("left", "lapsed");
  return (
    <>
      <ol className="grid gap-3">
        {steps.map((step, at) => (
          <li key={step} data-funnel={step} data-count={totals[step]}>
            <div className="flex flex-wrap justify-between gap-x-4">
              <span>{t(`board.funnel.${step}` as AdminTextKey)}</span>
              <span className="tabular-nums">
                <strong>{t("board.number", { count: totals[step] })}</strong>
                {at > 0 && <span className="text-soft"> · {formatShare(totals[step], first)}</span>}
              </span>
            </div>
            <svg
              viewBox="0 0 100 8"
              preserveAspectRatio="none"
              className="mt-1 h-2 w-full rtl:-scale-x-100"
              aria-hidden="true"
            >
              <rect width="100" height="8" fill="var(--line)" />
              <rect
                width={Math.min(100, (totals[step] / Math.max(1, first)) * 100)}
                height="8"
                fill="var(--good)"
              />
            </svg>
          </li>
        ))}
      </ol>
      <dl className="mt-5 grid grid-cols-2 gap-x-4 gap-y-1 border-t border-line pt-4 text-sm">
        {losses.map((step) => (
          <div key={step} className="flex justify-between gap-2" data-funnel={step} data-count={totals[step]}>
            <dt className="text-soft">{t(`board.funnel.${step}` as AdminTextKey)}</dt>
            <dd className="tabular-nums">{t("board.number", { count: totals[step] })}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

export function RefusalList({ refusals }: { refusals: { code: string; count: number }[] }) {
  if (refusals.length === 0) return <p className="text-soft">{t("board.refused.none")}</p>;
  const sorted = [...refusals].sort((a, b) => b.count - a.count);
  return (
    <dl className="grid gap-2">
      {sorted.map(({ code, count }) => (
        <div key={code} className="flex justify-between gap-4" data-refusal={code} data-count={count}>
          <dt>{describeRefusal(code)}</dt>
          <dd className="font-semibold tabular-nums">{t("board.number", { count })}</dd>
        </div>
      ))}
    </dl>
  );
}
