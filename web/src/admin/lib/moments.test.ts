import { expect, test } from "vitest";
import { formatBeside, formatExact, startOfDay } from "./moments";

test("a day begins where the reader is", () => {
  const start = startOfDay("2026-11-27");
  expect(new Date(start ?? "").toString()).toContain("Nov 27 2026 00:00:00");
  expect(new Date(startOfDay("2026-11-30", 1) ?? "").toString()).toContain("Dec 01 2026 00:00:00");
});

test("what is no day is none", () => {
  for (const bad of ["", "2026-13-01", "2026-02-30", "2026-1-1", "yesterday", "1969-12-01", "99999-01-01"]) {
    expect(startOfDay(bad), bad).toBeNull();
  }
});

test("the day is said only where it is another", () => {
  const at = "2026-11-27T12:03:20.000Z";
  expect(formatBeside(at, "2026-11-27T12:00:00.000Z", "en-GB")).toMatch(/^\d\d:03:20$/);
  expect(formatBeside(at, "2026-11-20T12:00:00.000Z", "en-GB")).toBe(formatExact(at, "en-GB"));
});
