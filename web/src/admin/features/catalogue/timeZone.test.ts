import { expect, test } from "vitest";
import { fromLocalTime, nextSameTime, toLocalTime } from "./timeZone";

const BERLIN = "Europe/Berlin";
const at = (iso: string) => Date.parse(iso);

test("local times and moments convert both ways, in summer and winter", () => {
  expect(toLocalTime(at("2026-11-27T09:00:00Z"), BERLIN)).toBe("2026-11-27T10:00");
  expect(toLocalTime(at("2026-07-27T09:00:00Z"), BERLIN)).toBe("2026-07-27T11:00");
  expect(toLocalTime(at("2026-11-27T00:00:00Z"), "UTC")).toBe("2026-11-27T00:00");
  expect(fromLocalTime("2026-11-27T10:00", BERLIN)).toEqual([at("2026-11-27T09:00:00Z")]);
  expect(fromLocalTime("2026-07-27T11:00", BERLIN)).toEqual([at("2026-07-27T09:00:00Z")]);
  expect(fromLocalTime("2026-11-27T10:00", "Asia/Kathmandu")).toEqual([at("2026-11-27T04:15:00Z")]);
  expect(fromLocalTime("", BERLIN)).toEqual([]);
});

test("a skipped hour has no moment, a repeated one has two", () => {
  expect(fromLocalTime("2026-03-29T02:30", BERLIN)).toEqual([]);
  expect(fromLocalTime("2026-03-29T01:59", BERLIN)).toEqual([at("2026-03-29T00:59:00Z")]);
  expect(fromLocalTime("2026-03-29T03:00", BERLIN)).toEqual([at("2026-03-29T01:00:00Z")]);
  expect(fromLocalTime("2026-10-25T02:30", BERLIN)).toEqual([
    at("2026-10-25T00:30:00Z"),
    at("2026-10-25T01:30:00Z"),
  ]);
  expect(fromLocalTime("2026-11-01T01:30", "America/New_York")).toHaveLength(2);
  expect(fromLocalTime("2026-10-04T02:15", "Australia/Lord_Howe")).toEqual([]);
});

test("the next same time is today or on a later day", () => {
  const start = at("2026-07-27T08:00:00Z"); // 10:00 in Berlin.
  expect(nextSameTime(start, at("2026-11-27T05:00:00Z"), BERLIN)).toBe(at("2026-11-27T09:00:00Z"));
  expect(nextSameTime(start, at("2026-11-27T08:30:00Z"), BERLIN)).toBe(at("2026-11-28T09:00:00Z"));
  // 02:30 does not exist in that night; the next night has it.
  const night = at("2026-02-01T01:30:00Z");
  expect(nextSameTime(night, at("2026-03-28T12:00:00Z"), BERLIN)).toBe(at("2026-03-30T00:30:00Z"));
});
