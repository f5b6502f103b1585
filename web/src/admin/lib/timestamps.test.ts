import { expect, test } from "vitest";
import { formatTimeNear, formatTimestamp, formatTimeUntil, startOfDay } from "./timestamps";

test("a day starts in the reader's time zone", () => {
  const start = startOfDay("2026-11-27");
  expect(new Date(start ?? "").toString()).toContain("Nov 27 2026 00:00:00");
  expect(new Date(startOfDay("2026-11-30", 1) ?? "").toString()).toContain("Dec 01 2026 00:00:00");
});

test("text that is not a date gives null", () => {
  for (const bad of ["", "2026-13-01", "2026-02-30", "2026-1-1", "yesterday", "1969-12-01", "99999-01-01"]) {
    expect(startOfDay(bad), bad).toBeNull();
  }
});

test("the day is shown only when it differs", () => {
  const at = "2026-11-27T12:03:20.000Z";
  expect(formatTimeNear(at, "2026-11-27T12:00:00.000Z", "en-GB")).toMatch(/^\d\d:03:20$/);
  expect(formatTimeNear(at, "2026-11-20T12:00:00.000Z", "en-GB")).toBe(formatTimestamp(at, "en-GB"));
});

test("how far away a moment is stands in the largest unit that fits", () => {
  expect(formatTimeUntil(3 * 86_400, "de")).toBe("in 3 Tagen");
  expect(formatTimeUntil(5_400, "en")).toBe("in 2 hours");
  expect(formatTimeUntil(30, "en")).toBe("in 30 seconds");
});
