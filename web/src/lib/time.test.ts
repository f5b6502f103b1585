import { expect, test } from "vitest";
import { announcedSeconds, formatCountdown, roundDuration, splitDuration } from "./time";

test("a countdown shows 0 only when no time is left", () => {
  expect(formatCountdown(1, "en")).toBe("0:01");
  expect(formatCountdown(0, "en")).toBe("0:00");
  expect(formatCountdown(-5_000, "en")).toBe("0:00");
  expect(formatCountdown(247_000, "en")).toBe("4:07");
  expect(formatCountdown(90_000_000, "en")).toBe("25:00:00");
  expect(splitDuration(90_061_000)).toEqual({ days: 1, hours: 1, minutes: 1, seconds: 1 });
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
