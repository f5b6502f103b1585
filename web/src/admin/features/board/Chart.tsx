// The charts: small drawings of one thing each, told apart by their titles and patterns and not by colour alone. Each says in
// words what it shows, and the figures are in a table as well. Time runs from left to right in every language.

import { type ReactNode, useId } from "react";
import { locale } from "../../../lib/i18n";
import type { Series } from "../../lib/boardQueries";
import { t } from "../../lib/texts";
import { merged, type Piece, pieces } from "./figures";
import { band, formatMark, formatRate, heightOf, roundUp, steps } from "./scale";

const WIDTH = 600;
const HEIGHT = 120;
/** Rows of a table, at most: what a person reads, or has read out. */
const ROWS_MAX = 60;

interface FrameProps {
  title: string;
  /** What it shows, for those who do not see it. */
  said: string;
  max: number;
  fromMs: number;
  toMs: number;
  /** What is behind the number: such as "a second". */
  unit?: string;
  children: ReactNode;
}

function Plot({ title, said, max, fromMs, toMs, unit = "", children }: FrameProps) {
  const lengthMs = toMs - fromMs;
  return (
    <figure className="min-w-0 break-inside-avoid">
      <figcaption className="pb-1 font-semibold">{title}</figcaption>
      <p className="text-xs text-soft" aria-hidden="true">
        {formatRate(max, locale())} {unit}
      </p>
      <svg
        role="img"
        aria-label={`${title}. ${said}`}
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
        <span>{formatMark(fromMs, lengthMs, locale())}</span>
        <span>{formatMark(toMs, lengthMs, locale())}</span>
      </p>
    </figure>
  );
}

interface ChartProps {
  title: string;
  pieces: readonly Piece[];
  stepMs: number;
}

const ends = (pieces: readonly Piece[], stepMs: number) => ({
  fromMs: pieces[0]?.atMs ?? 0,
  toMs: (pieces.at(-1)?.atMs ?? 0) + stepMs,
});

/** How often a second something happened. */
export function RateChart({
  title,
  pieces,
  stepMs,
  of,
}: ChartProps & { of: "joined" | "admitted" | "ordered" | "confirmed" | "refused" }) {
  const values = pieces.map((piece) => (piece[of] * 1000) / stepMs);
  const most = Math.max(0, ...values);
  const max = roundUp(most);
  const stepX = WIDTH / Math.max(1, values.length);
  const said =
    most === 0
      ? t("board.chart.nothing")
      : t("board.chart.rate_said", {
          most: formatRate(most, locale()),
          total: pieces.reduce((sum, piece) => sum + piece[of], 0),
        });
  return (
    <Plot title={title} said={said} max={max} unit={t("board.chart.per_second")} {...ends(pieces, stepMs)}>
      {values.map((value, at) => {
        const y = heightOf(value, max, HEIGHT);
        if (value === 0) return null;
        return (
          <rect
            key={pieces[at]?.atMs}
            x={at * stepX + stepX * 0.08}
            width={stepX * 0.84}
            y={Math.min(y, HEIGHT - 1.5)}
            height={Math.max(1.5, HEIGHT - y)}
            fill="var(--mark)"
          />
        );
      })}
    </Plot>
  );
}

/** How many wait. */
export function LineChart({ title, pieces, stepMs }: ChartProps) {
  const values = pieces.map((piece) => piece.units.waiting);
  const most = Math.max(0, ...values);
  const max = roundUp(most);
  const said =
    most === 0 ? t("board.chart.nothing") : t("board.chart.line_said", { most, now: values.at(-1) ?? 0 });
  const line = steps(values, max, WIDTH, HEIGHT);
  return (
    <Plot title={title} said={said} max={max} {...ends(pieces, stepMs)}>
      <path d={`${line}V${HEIGHT}H0Z`} fill="var(--soft)" fillOpacity="0.25" />
      <path d={line} fill="none" stroke="var(--ink)" strokeWidth="2" vectorEffect="non-scaling-stroke" />
    </Plot>
  );
}

/** Where the units are: sold below, then held, then set aside; what is free is left empty. */
function UnitsChart({ title, pieces, stepMs }: ChartProps) {
  const id = useId().replace(/\W/g, "");
  const sums = pieces.map(({ units }) => {
    const held = units.sold + units.held;
    const admitted = held + units.admitted;
    return { sold: units.sold, held, admitted, all: admitted + units.available };
  });
  const max = Math.max(1, ...sums.map((sum) => sum.all));
  const last = pieces.at(-1)?.units;
  const said = t("board.chart.units_said", {
    sold: last?.sold ?? 0,
    held: last?.held ?? 0,
    admitted: last?.admitted ?? 0,
    available: last?.available ?? 0,
  });
  const area = (lower: number[], upper: number[]) => band(lower, upper, max, WIDTH, HEIGHT);
  const column = (of: "sold" | "held" | "admitted") => sums.map((sum) => sum[of]);
  const none = sums.map(() => 0);
  return (
    <Plot title={title} said={said} max={max} {...ends(pieces, stepMs)}>
      <Patterns id={id} scale={0.6} />
      <path d={area(none, column("sold"))} fill="var(--good)" />
      <path d={area(column("sold"), column("held"))} fill={`url(#${id}-held)`} />
      <path d={area(column("held"), column("admitted"))} fill={`url(#${id}-admitted)`} />
    </Plot>
  );
}

/** The whole sale in charts; the summary shows the same. */
export function WholeCharts({ series, hasLine }: { series: Series; hasLine: boolean }) {
  const chart = { pieces: pieces(series), stepMs: series.stepSeconds * 1000 };
  return (
    <>
      <div className="grid gap-6 sm:grid-cols-2">
        <UnitsChart title={t("board.chart.units")} {...chart} />
        {hasLine && <LineChart title={t("board.chart.waiting")} {...chart} />}
        <RateChart title={t("board.chart.orders")} of="ordered" {...chart} />
        <RateChart title={t("board.chart.refusals")} of="refused" {...chart} />
      </div>
      <FiguresTable {...chart} />
    </>
  );
}

/** What tells the parts of the stock apart without colour: stripes for held units, dots for those set aside. */
export function Patterns({ id, scale = 1 }: { id: string; scale?: number }) {
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

/** The figures behind the charts. */
export function FiguresTable({ pieces, stepMs }: { pieces: readonly Piece[]; stepMs: number }) {
  const group = Math.max(1, Math.ceil(pieces.length / ROWS_MAX));
  const rows = merged(pieces, group);
  const lengthMs = rows.length * group * stepMs;
  const number = new Intl.NumberFormat(locale());
  const columns = ["joined", "admitted", "ordered", "confirmed", "refused"] as const;
  const label = t("board.table.title");
  return (
    <details className="no-print mt-4">
      <summary className="inline-block py-2 text-link">{label}</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what can be scrolled must be reachable by keys */}
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
                  {formatMark(row.atMs, lengthMs, locale())}
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
