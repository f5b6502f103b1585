import { expect, test } from "vitest";
import {
  announcedSeconds,
  countdownParts,
  formatCountdown,
  formatFullDateTime,
  formatTimeOfDay,
  formatZonedDateTime,
  roundDuration,
  splitDuration,
} from "./time";

test("a countdown shows 0 only when no time is left", () => {
  expect(formatCountdown(1, "en")).toBe("0:01");
  expect(formatCountdown(0, "en")).toBe("0:00");
  expect(formatCountdown(-5_000, "en")).toBe("0:00");
  expect(formatCountdown(247_000, "en")).toBe("4:07");
  expect(formatCountdown(86_399_000, "en")).toBe("23:59:59");
  expect(splitDuration(90_061_000)).toEqual({ days: 1, hours: 1, minutes: 1, seconds: 1 });
});

test("a countdown of a day or more names the days, and can be broken between them and the hours", () => {
  expect(formatCountdown(3 * 86_400_000 + 59 * 60_000 + 43_000, "en")).toBe("3 days 0:59");
  expect(countdownParts(86_400_000, "en")).toEqual(["1 day", "0:00"]);
  expect(countdownParts(90_061_000, "de")).toEqual(["1 Tag", "1:01"]);
  expect(countdownParts(86_399_000, "en")).toEqual(["23:59:59"]);
});

test("a date for buyers names its time zone, and the time of a missed turn its date if that was another day", () => {
  const at = "2026-11-27T09:05:00.000Z";
  expect(formatFullDateTime(at, "en-GB")).toMatch(/^Friday,? 27 November 2026.* \d\d:05 \S+/);
  expect(formatZonedDateTime(at, "en-GB")).toMatch(/^27 Nov 2026, \d\d:05 \S+/);
  expect(formatTimeOfDay(at, Date.parse(at) + 1_000, "en-GB")).toMatch(/^\d\d:05$/);
  expect(formatTimeOfDay(at, Date.parse(at) + 2 * 86_400_000, "en-GB")).toMatch(/^27 Nov 2026, \d\d:05$/);
  expect(formatTimeOfDay(at, null, "en-GB")).toMatch(/2026/);
});

test("an estimate is rounded", () => {
  expect(roundDuration(0)).toEqual({ amount: 10, unit: "second" });
  expect(roundDuration(31)).toEqual({ amount: 40, unit: "second" });
  expect(roundDuration(80)).toEqual({ amount: 1, unit: "minute" });
  expect(roundDuration(610)).toEqual({ amount: 10, unit: "minute" });
  expect(roundDuration(7_300)).toEqual({ amount: 2, unit: "hour" });
});

test("a countdown is announced a few times, and correctly", () => {
  expect([301, 300, 250, 240].map((seconds) => announcedSeconds(seconds * 1000))).toEqual([
    null,
    300,
    300,
    null,
  ]);
  expect([121, 120, 97, 96].map((seconds) => announcedSeconds(seconds * 1000))).toEqual([
    null,
    120,
    120,
    null,
  ]);
  expect([10, 9, 8, 0].map((seconds) => announcedSeconds(seconds * 1000))).toEqual([10, 10, null, null]);
  // After an extension by two minutes the mark of five minutes must not be announced.
  expect(announcedSeconds(25_000)).toBe(30);
  expect(announcedSeconds(145_000)).toBeNull();
});
