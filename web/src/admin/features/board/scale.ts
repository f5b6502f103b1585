// Scales, paths and number formats of the charts. Pure.

/** Rounds up to the next of 1, 2, 5, 10, 20 … for the end of an axis. */
export function roundUpAxis(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const found = [1, 2, 5, 10].find((step) => step * power >= value * (1 - 1e-9)) ?? 10;
  return found * power;
}

/** The y of a value, from `height` for 0 to 0 for `max`. */
export function scaleY(value: number, max: number, height: number): number {
  if (max <= 0) return height;
  return Math.round((height - (Math.min(Math.max(value, 0), max) / max) * height) * 100) / 100;
}

/** The path of a step chart: each value holds until the next. */
export function stepPath(values: readonly number[], max: number, width: number, height: number): string {
  const stepX = width / Math.max(1, values.length);
  return values
    .map((value, at) => {
      const y = scaleY(value, max, height);
      const x = Math.round(at * stepX * 100) / 100;
      const next = Math.round((at + 1) * stepX * 100) / 100;
      return `${at === 0 ? "M" : "L"}${x} ${y}L${next} ${y}`;
    })
    .join("");
}

/** The path of the area between two step lines. */
export function areaPath(
  lower: readonly number[],
  upper: readonly number[],
  max: number,
  width: number,
  height: number,
): string {
  if (upper.length === 0) return "";
  const back = stepPath([...lower].reverse(), max, width, height).replace(
    /[ML]([\d.]+) /g,
    (_, x: string) => `L${Math.round((width - Number(x)) * 100) / 100} `,
  );
  return `${stepPath(upper, max, width, height)}${back}Z`;
}

/** A rate: one decimal below 10. */
export function formatRate(value: number, locale: string): string {
  const digits = value > 0 && value < 10 ? 1 : 0;
  return new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
}

/** `350 ms`, `4.2 sec`, `12 min 5 sec`, `3 hr 2 min`. */
export function formatDuration(ms: number, locale: string): string {
  const unit = (value: number, name: string, digits = 0) =>
    new Intl.NumberFormat(locale, {
      style: "unit",
      unit: name,
      unitDisplay: "short",
      maximumFractionDigits: digits,
    }).format(value);
  if (ms < 10) return unit(ms, "millisecond", 1);
  if (ms < 1_000) return unit(Math.round(ms), "millisecond");
  if (ms < 59_950) return unit(ms / 1_000, "second", 1);
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${unit(Math.floor(seconds / 60), "minute")} ${unit(seconds % 60, "second")}`;
  const minutes = Math.round(seconds / 60);
  return `${unit(Math.floor(minutes / 60), "hour")} ${unit(minutes % 60, "minute")}`;
}

/** A moment on the axis of a chart; a chart of most of a day or longer shows the day too. */
export function formatAxisTime(atMs: number, lengthMs: number, locale: string): string {
  const options: Intl.DateTimeFormatOptions =
    lengthMs > 20 * 3_600_000
      ? { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }
      : lengthMs > 20 * 60_000
        ? { hour: "2-digit", minute: "2-digit" }
        : { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  return new Intl.DateTimeFormat(locale, options).format(atMs);
}
