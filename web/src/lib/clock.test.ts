import { expect, test } from "vitest";
import { ServerClock } from "./clock";

const HOUR = 3_600_000;

test("the device's own time has no effect after the first sample", () => {
  const clock = new ServerClock();
  expect(clock.timeAt(1_000, 42)).toBe(42);
  clock.addSample({ serverMs: 10 * HOUR, sentMs: 1_000, receivedMs: 1_100 });
  expect(clock.timeAt(1_050, 9 * HOUR)).toBe(10 * HOUR);
  expect(clock.timeAt(2_050, 11 * HOUR)).toBe(10 * HOUR + 1_000);
});

test("a slow reply does not replace the sample of a fast one", () => {
  const clock = new ServerClock();
  clock.addSample({ serverMs: 100_020, sentMs: 0, receivedMs: 40 });
  clock.addSample({ serverMs: 101_900, sentMs: 1_000, receivedMs: 3_000 });
  expect(clock.timeAt(5_000, 0)).toBe(105_000);
});

test("a fast reply replaces the sample of a slow one", () => {
  const clock = new ServerClock();
  clock.addSample({ serverMs: 100_900, sentMs: 0, receivedMs: 1_000 });
  clock.addSample({ serverMs: 102_010, sentMs: 2_000, receivedMs: 2_020 });
  expect(clock.timeAt(3_000, 0)).toBe(103_000);
});

test("after the device slept, the next reply corrects the clock, fast or slow", () => {
  const clock = new ServerClock();
  clock.addSample({ serverMs: 100_010, sentMs: 0, receivedMs: 20 });
  // The monotonic clock stood still for a minute.
  clock.addSample({ serverMs: 161_000, sentMs: 900, receivedMs: 1_100 });
  expect(clock.timeAt(1_100, 0)).toBe(161_100);
});
