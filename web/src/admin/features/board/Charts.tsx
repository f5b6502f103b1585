// The charts of the board and the summary. Titles and patterns distinguish them, not colour alone; each has a description for screen
// readers, and a table has the same figures. Time runs from left to right in every language.

import { type ReactNode, useId } from "react";
import { locale } from "../../../lib/i18n";
import { t } from "../../lib/texts";
import type { Series } from "./queries";
import { areaPath, formatAxisTime, formatRate, roundUpAxis, scaleY, stepPath } from "./scale";
import { expandSeries, mergeSteps, type TimeStep } from "./series";

const WIDTH = 600;
const HEIGHT = 120;
/** A table with more rows than this is of no use to a reader. */
const ROWS_MAX = 60;

interface FrameProps {
  title: string;
  /** For screen readers. */
  description: string;
  max: number;
  fromMs: number;
  toMs: number;
  /** Such as "a second". */
  unit?: string;
  children: ReactNode;
}

function ChartFrame({ title, description, max, fromMs, toMs, unit = "", children }: FrameProps) {
  const lengthMs = toMs - fromMs;
  return (
    <figure className="min-w-0 break-inside-avoid">
      <figcaption className="pb-1 font-semibold">{title}</figcaption>
      <p className="text-xs text-soft" aria-hidden="true">
        {formatRate(max, locale())} {unit}
      </p>
      <svg
        role="img"
        aria-label={`${title}. ${description}`}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        className="block h-28 w-full border-y border-line"
        data-chart={title}
      >
        <line
          x1="0"
          x2={WIDTH}
          y1={HEIGHT / 2}
          y2={HEIGHT / 2}
          stroke="var(--line)"
          strokeDasharray="2 4"
          vectorEffect="non-scaling-stroke"
        />
        {children}
      </svg>
      <p dir="ltr" className="flex justify-between pt-1 text-xs text-soft tabular-nums" aria-hidden="true">
        <span>{formatAxisTime(fromMs, lengthMs, locale())}</span>
        <span>{formatAxisTime(toMs, lengthMs, locale())}</span>
      </p>
    </figure>
  );
}

interface ChartProps {
  title: string;
  steps: readonly TimeStep[];
  stepMs: number;
}

const timeRange = (steps: readonly TimeStep[], stepMs: number) => ({
  fromMs: steps[0]?.atMs ?? 0,
  toMs: (steps.at(-1)?.atMs ?? 0) + stepMs,
});

/** Events per second. */
export function RateChart({
  title,
  steps,
  stepMs,
  count,
}: ChartProps & { count: "joined" | "admitted" | "ordered" | "confirmed" | "refused" }) {
  const values = steps.map((step) => (step[count] * 1000) / stepMs);
  const most = Math.max(0, ...values);
  const max = roundUpAxis(most);
  const stepX = WIDTH / Math.max(1, values.length);
  const description =
    most === 0
      ? t("board.chart.nothing")
      : t("board.chart.rate_said", {
          most: formatRate(most, locale()),
          total: steps.reduce((sum, step) => sum + step[count], 0),
        });
  return (
    <ChartFrame
      title={title}
      description={description}
      max={max}
      unit={t("board.chart.per_second")}
      {...timeRange(steps, stepMs)}
    >
      {values.map((value, at) => {
        const y = scaleY(value, max, HEIGHT);
        if (value === 0) return null;
        return (
          <rect
            key={steps[at]?.atMs}
            x={at * stepX + stepX * 0.08}
            width={stepX * 0.84}
            y={Math.min(y, HEIGHT - 1.5)}
            height={Math.max(1.5, HEIGHT - y)}
            fill="var(--mark)"
          />
        );
      })}
    </ChartFrame>
  );
}

/** The number of waiting buyers. */
export function WaitingChart({ title, steps, stepMs }: ChartProps) {
  const values = steps.map((step) => step.units.waiting);
  const most = Math.max(0, ...values);
  const max = roundUpAxis(most);
  const description =
    most === 0 ? t("board.chart.nothing") : t("board.chart.line_said", { most, now: values.at(-1) ?? 0 });
  const line = stepPath(values, max, WIDTH, HEIGHT);
  return (
    <ChartFrame title={title} description={description} max={max} {...timeRange(steps, stepMs)}>
      <path d={`${line}V${HEIGHT}H0Z`} fill="var(--soft)" fillOpacity="0.25" />
      <path d={line} fill="none" stroke="var(--ink)" strokeWidth="2" vectorEffect="non-scaling-stroke" />
    </ChartFrame>
  );
}

/** The units as stacked areas: sold below, then held, then reserved for admitted buyers; free units stay empty. */
function UnitsChart({ title, steps, stepMs }: ChartProps) {
  const id = useId().replace(/\W/g, "");
  const totals = steps.map(({ units }) => {
    const held = units.sold + units.held;
    const admitted = held + units.admitted;
    return { sold: units.sold, held, admitted, all: admitted + units.available };
  });
  const max = Math.max(1, ...totals.map((total) => total.all));
  const last = steps.at(-1)?.units;
  const description = t("board.chart.units_said", {
    sold: last?.sold ?? 0,
    held: last?.held ?? 0,
    admitted: last?.admitted ?? 0,
    available: last?.available ?? 0,
  });
  const area = (lower: number[], upper: number[]) => areaPath(lower, upper, max, WIDTH, HEIGHT);
  const column = (kind: "sold" | "held" | "admitted") => totals.map((total) => total[kind]);
  const zeros = totals.map(() => 0);
  return (
    <ChartFrame title={title} description={description} max={max} {...timeRange(steps, stepMs)}>
      <UnitPatterns id={id} scale={0.6} />
      <path d={area(zeros, column("sold"))} fill="var(--good)" />
      <path d={area(column("sold"), column("held"))} fill={`url(#${id}-held)`} />
      <path d={area(column("held"), column("admitted"))} fill={`url(#${id}-admitted)`} />
    </ChartFrame>
  );
}

/** The charts of the whole sale, for the board and the summary. */
export function SaleCharts({ series, hasLine }: { series: Series; hasLine: boolean }) {
  const chart = { steps: expandSeries(series), stepMs: series.stepSeconds * 1000 };
  return (
    <>
      <div className="grid gap-6 sm:grid-cols-2">
        <UnitsChart title={t("board.chart.units")} {...chart} />
        {hasLine && <WaitingChart title={t("board.chart.waiting")} {...chart} />}
        <RateChart title={t("board.chart.orders")} count="ordered" {...chart} />
        <RateChart title={t("board.chart.refusals")} count="refused" {...chart} />
      </div>
      <SeriesTable {...chart} />
    </>
  );
}

/** Patterns that distinguish units without colour: stripes for held units, dots for units of admitted buyers. */
export function UnitPatterns({ id, scale = 1 }: { id: string; scale?: number }) {
  return (
    <defs>
      <pattern
        id={`${id}-held`}
        width="8"
        height="8"
        patternUnits="userSpaceOnUse"
        patternTransform={`scale(${scale}) rotate(45)`}
      >
        <rect width="8" height="8" fill="var(--card)" />
        <rect width="4" height="8" fill="var(--mark)" />
      </pattern>
      <pattern
        id={`${id}-admitted`}
        width="8"
        height="8"
        patternUnits="userSpaceOnUse"
        patternTransform={`scale(${scale})`}
      >
        <rect width="8" height="8" fill="var(--card)" />
        <circle cx="4" cy="4" r="2.2" fill="var(--ink)" />
      </pattern>
    </defs>
  );
}

/** The figures of the charts as a table. */
export function SeriesTable({ steps, stepMs }: { steps: readonly TimeStep[]; stepMs: number }) {
  const group = Math.max(1, Math.ceil(steps.length / ROWS_MAX));
  const rows = mergeSteps(steps, group);
  const lengthMs = rows.length * group * stepMs;
  const number = new Intl.NumberFormat(locale());
  const columns = ["joined", "admitted", "ordered", "confirmed", "refused"] as const;
  const label = t("board.table.title");
  return (
    <details className="no-print mt-4">
      <summary className="inline-block py-2 text-link">{label}</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable area must be reachable by keyboard */}
      <section aria-label={label} tabIndex={0} className="mt-2 max-h-96 overflow-auto">
        <table className="w-full text-end text-sm tabular-nums">
          <thead>
            <tr className="border-b border-soft">
              <th scope="col" className="py-1 pe-3 text-start">
                {t("board.table.at")}
              </th>
              {columns.map((column) => (
                <th key={column} scope="col" className="px-2 py-1 text-end">
                  {t(`board.table.${column}`)}
                </th>
              ))}
              <th scope="col" className="px-2 py-1 text-end">
                {t("board.table.waiting")}
              </th>
              <th scope="col" className="ps-2 py-1 text-end">
                {t("board.table.sold")}
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.atMs} className="border-b border-line">
                <th scope="row" className="py-1 pe-3 text-start font-normal whitespace-nowrap">
                  {formatAxisTime(row.atMs, lengthMs, locale())}
                </th>
                {columns.map((column) => (
                  <td key={column} className="px-2 py-1">
                    {number.format(row[column])}
                  </td>
                ))}
                <td className="px-2 py-1">{number.format(row.units.waiting)}</td>
                <td className="ps-2 py-1">{number.format(row.units.sold)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </details>
  );
}
