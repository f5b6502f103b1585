import { expect, test } from "vitest";
import { clockState, ServerClock, serverNow, syncClock, syncClockByHeader } from "./clock";

const HOUR = 3_600_000;

test("the time is unknown until the first sample, whatever the device's clock says", () => {
  const clock = new ServerClock();
  expect(clock.timeAt(1_000)).toBeNull();
  clock.addSample({ serverMs: 10 * HOUR, sentMs: 1_000, receivedMs: 1_100 });
  expect(clock.timeAt(1_050)).toBe(10 * HOUR);
  expect(clock.timeAt(2_050)).toBe(10 * HOUR + 1_000);
});

test("a slow reply does not replace the sample of a fast one", () => {
  const clock = new ServerClock();
  clock.addSample({ serverMs: 100_020, sentMs: 0, receivedMs: 40 });
  clock.addSample({ serverMs: 101_900, sentMs: 1_000, receivedMs: 3_000 });
  expect(clock.timeAt(5_000)).toBe(105_000);
});

test("a fast reply replaces the sample of a slow one", () => {
  const clock = new ServerClock();
  clock.addSample({ serverMs: 100_900, sentMs: 0, receivedMs: 1_000 });
  clock.addSample({ serverMs: 102_010, sentMs: 2_000, receivedMs: 2_020 });
  expect(clock.timeAt(3_000)).toBe(103_000);
});

test("after the device slept, the next reply corrects the clock, fast or slow", () => {
  const clock = new ServerClock();
  clock.addSample({ serverMs: 100_010, sentMs: 0, receivedMs: 20 });
  // The monotonic clock stood still for a minute.
  clock.addSample({ serverMs: 161_000, sentMs: 900, receivedMs: 1_100 });
  expect(clock.timeAt(1_100)).toBe(161_100);
});

test("a reply without a time in its body gives the second of its header, until a reply is more exact", () => {
  expect([clockState.get(), serverNow()]).toEqual(["unknown", null]);
  const now = performance.now();
  const errorMs = (serverMs: number) => Math.abs((serverNow() ?? Number.NaN) - serverMs);
  syncClockByHeader(null, now, now);
  expect(clockState.get()).toBe("unknown");
  syncClockByHeader("Fri, 27 Nov 2026 09:00:00 GMT", now, now);
  expect(clockState.get()).toBe("known");
  expect(errorMs(Date.parse("2026-11-27T09:00:00.500Z") + performance.now() - now)).toBeLessThan(500);
  syncClockByHeader("Fri, 27 Nov 2026 11:00:00 GMT", now, now);
  syncClock("2026-11-27T09:00:00.900Z", null, now, now);
  expect(errorMs(Date.parse("2026-11-27T09:00:00.900Z") + performance.now() - now)).toBeLessThan(500);
});
