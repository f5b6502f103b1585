import { expect, test } from "vitest";
import { band, formatMark, formatRate, formatSpan, heightOf, roundUp, steps } from "./scale";

test("axes end at round numbers that nothing exceeds", () => {
  expect([0, 0.3, 1, 1.2, 5, 5.1, 99, 100, 101].map(roundUp)).toEqual([1, 0.5, 1, 2, 5, 10, 100, 100, 200]);
  expect(roundUp(Number.NaN)).toBe(1);
});

test("values lie within the drawing", () => {
  expect([heightOf(0, 10, 100), heightOf(10, 10, 100), heightOf(5, 10, 100)]).toEqual([100, 0, 50]);
  expect([heightOf(20, 10, 100), heightOf(-1, 10, 100), heightOf(1, 0, 100)]).toEqual([0, 100, 100]);
});

test("a line holds its value until the next", () => {
  expect(steps([0, 10], 10, 100, 50)).toBe("M0 50L50 50L50 0L100 0");
  expect(steps([], 10, 100, 50)).toBe("");
});

test("an area goes along the upper line and back along the lower", () => {
  expect(band([0, 5], [10, 10], 10, 100, 50)).toBe("M0 0L50 0L50 0L100 0L100 25L50 25L50 50L0 50Z");
  expect(band([], [], 10, 100, 50)).toBe("");
});

test("numbers are as exact as they are of use", () => {
  expect([0, 0.25, 9.96, 12.4, 1234.5].map((rate) => formatRate(rate, "en"))).toEqual([
    "0",
    "0.3",
    "10",
    "12",
    "1,235",
  ]);
  expect([3.2, 350, 4_200, 59_990, 65_000, 3_600_000, 7_260_000].map((ms) => formatSpan(ms, "en"))).toEqual([
    "3.2 ms",
    "350 ms",
    "4.2 sec",
    "1 min 0 sec",
    "1 min 5 sec",
    "1 hr 0 min",
    "2 hr 1 min",
  ]);
  expect(formatSpan(4_200, "de")).toBe("4,2 Sek.");
});

test("an axis has the day only when it is longer than one", () => {
  const noon = Date.parse("2026-11-21T12:00:00");
  expect(formatMark(noon, 60_000, "en-GB")).toBe("12:00:00");
  expect(formatMark(noon, 3_600_000, "en-GB")).toBe("12:00");
  expect(formatMark(noon, 90 * 3_600_000, "en-GB")).toContain("21 Nov");
});
