import { expect, test } from "vitest";
import { ServerClock } from "./clock";

const HOUR = 3_600_000;

test("the device's own time does not count once the server has told it", () => {
  const clock = new ServerClock();
  expect(clock.at(1_000, 42)).toBe(42);
  clock.take({ serverMs: 10 * HOUR, sentMs: 1_000, receivedMs: 1_100 });
  expect(clock.at(1_050, 9 * HOUR)).toBe(10 * HOUR);
  expect(clock.at(2_050, 11 * HOUR)).toBe(10 * HOUR + 1_000);
});

test("a slow reply does not replace what a fast one told", () => {
  const clock = new ServerClock();
  clock.take({ serverMs: 100_020, sentMs: 0, receivedMs: 40 });
  clock.take({ serverMs: 101_900, sentMs: 1_000, receivedMs: 3_000 });
  expect(clock.at(5_000, 0)).toBe(105_000);
});

test("a fast reply replaces what a slow one told", () => {
  const clock = new ServerClock();
  clock.take({ serverMs: 100_900, sentMs: 0, receivedMs: 1_000 });
  clock.take({ serverMs: 102_010, sentMs: 2_000, receivedMs: 2_020 });
  expect(clock.at(3_000, 0)).toBe(103_000);
});

test("a device that slept is put right by the next reply, fast or slow", () => {
  const clock = new ServerClock();
  clock.take({ serverMs: 100_010, sentMs: 0, receivedMs: 20 });
  // The monotonic clock stood still for a minute.
  clock.take({ serverMs: 161_000, sentMs: 900, receivedMs: 1_100 });
  expect(clock.at(1_100, 0)).toBe(161_100);
});
