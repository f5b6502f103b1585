import { expect, test } from "vitest";
import { areaPath, formatAxisTime, formatDuration, formatRate, roundUpAxis, scaleY, stepPath } from "./scale";

test("axes end at round numbers that no value exceeds", () => {
  expect([0, 0.3, 1, 1.2, 5, 5.1, 99, 100, 101].map(roundUpAxis)).toEqual([
    1, 0.5, 1, 2, 5, 10, 100, 100, 200,
  ]);
  expect(roundUpAxis(Number.NaN)).toBe(1);
});

test("values lie within the chart", () => {
  expect([scaleY(0, 10, 100), scaleY(10, 10, 100), scaleY(5, 10, 100)]).toEqual([100, 0, 50]);
  expect([scaleY(20, 10, 100), scaleY(-1, 10, 100), scaleY(1, 0, 100)]).toEqual([0, 100, 100]);
});

test("a line holds its value until the next", () => {
  expect(stepPath([0, 10], 10, 100, 50)).toBe("M0 50L50 50L50 0L100 0");
  expect(stepPath([], 10, 100, 50)).toBe("");
});

test("an area follows the upper line and returns along the lower", () => {
  expect(areaPath([0, 5], [10, 10], 10, 100, 50)).toBe("M0 0L50 0L50 0L100 0L100 25L50 25L50 50L0 50Z");
  expect(areaPath([], [], 10, 100, 50)).toBe("");
});

test("numbers have as many digits as are useful", () => {
  expect([0, 0.25, 9.96, 12.4, 1234.5].map((rate) => formatRate(rate, "en"))).toEqual([
    "0",
    "0.3",
    "10",
    "12",
    "1,235",
  ]);
  expect(
    [3.2, 350, 4_200, 59_990, 65_000, 3_600_000, 7_260_000].map((ms) => formatDuration(ms, "en")),
  ).toEqual(["3.2 ms", "350 ms", "4.2 sec", "1 min 0 sec", "1 min 5 sec", "1 hr 0 min", "2 hr 1 min"]);
  expect(formatDuration(4_200, "de")).toBe("4,2 Sek.");
});

test("an axis shows the day only when it is long", () => {
  const noon = Date.parse("2026-11-21T12:00:00");
  expect(formatAxisTime(noon, 60_000, "en-GB")).toBe("12:00:00");
  expect(formatAxisTime(noon, 3_600_000, "en-GB")).toBe("12:00");
  expect(formatAxisTime(noon, 90 * 3_600_000, "en-GB")).toContain("21 Nov");
});
