import { expect, test } from "vitest";
import { momentsAt, sameTimeLater, wallClock } from "./zone";

const BERLIN = "Europe/Berlin";
const at = (iso: string) => Date.parse(iso);

test("the clock on the wall and the moment are of one zone, in summer and winter", () => {
  expect(wallClock(at("2026-11-27T09:00:00Z"), BERLIN)).toBe("2026-11-27T10:00");
  expect(wallClock(at("2026-07-27T09:00:00Z"), BERLIN)).toBe("2026-07-27T11:00");
  expect(wallClock(at("2026-11-27T00:00:00Z"), "UTC")).toBe("2026-11-27T00:00");
  expect(momentsAt("2026-11-27T10:00", BERLIN)).toEqual([at("2026-11-27T09:00:00Z")]);
  expect(momentsAt("2026-07-27T11:00", BERLIN)).toEqual([at("2026-07-27T09:00:00Z")]);
  expect(momentsAt("2026-11-27T10:00", "Asia/Kathmandu")).toEqual([at("2026-11-27T04:15:00Z")]);
  expect(momentsAt("", BERLIN)).toEqual([]);
});

test("an hour that is skipped is no time, one that comes twice is two", () => {
  expect(momentsAt("2026-03-29T02:30", BERLIN)).toEqual([]);
  expect(momentsAt("2026-03-29T01:59", BERLIN)).toEqual([at("2026-03-29T00:59:00Z")]);
  expect(momentsAt("2026-03-29T03:00", BERLIN)).toEqual([at("2026-03-29T01:00:00Z")]);
  expect(momentsAt("2026-10-25T02:30", BERLIN)).toEqual([
    at("2026-10-25T00:30:00Z"),
    at("2026-10-25T01:30:00Z"),
  ]);
  expect(momentsAt("2026-11-01T01:30", "America/New_York")).toHaveLength(2);
  expect(momentsAt("2026-10-04T02:15", "Australia/Lord_Howe")).toEqual([]);
});

test("a copy is at the same time of day, on the next day where that is to come", () => {
  const start = at("2026-07-27T08:00:00Z"); // 10:00 in Berlin.
  expect(sameTimeLater(start, at("2026-11-27T05:00:00Z"), BERLIN)).toBe(at("2026-11-27T09:00:00Z"));
  expect(sameTimeLater(start, at("2026-11-27T08:30:00Z"), BERLIN)).toBe(at("2026-11-28T09:00:00Z"));
  // 02:30 is not there that night: the night after, it is.
  const night = at("2026-02-01T01:30:00Z");
  expect(sameTimeLater(night, at("2026-03-28T12:00:00Z"), BERLIN)).toBe(at("2026-03-30T00:30:00Z"));
});
