import { expect, test } from "vitest";
import { addJitter, placePollMs, salePollMs } from "./pollInterval";
import { makePlace as place, makeSale as sale } from "./testFixtures";

const START = Date.parse("2026-11-27T09:00:00.000Z");
const upcoming = sale({ status: "upcoming" });

test("the nearer the front of the line or the start, the more often a page polls", () => {
  const intervals = [
    place({ status: "admitted" }),
    place(),
    place({ ahead: 100, estimatedWaitSeconds: 600 }),
    place({ ahead: 2_000, estimatedWaitSeconds: 600 }),
    place({ ahead: 50_000, estimatedWaitSeconds: 6_000 }),
    place({ ahead: 600, estimatedWaitSeconds: null }),
    place({ status: "lapsed" }),
    place({ status: "over", position: 0, ahead: 0, estimatedWaitSeconds: null }),
  ].map((one) => placePollMs(one));
  expect(intervals).toEqual([1_000, 1_000, 3_000, 8_000, 20_000, 8_000, 10_000, 60_000]);
  expect([placePollMs(place(), true), placePollMs(place({ status: "admitted" }), true)]).toEqual([
    30_000, 1_000,
  ]);
  expect(salePollMs(upcoming, null)).toBe(5_000);
  expect(salePollMs(upcoming, START - 10_000)).toBe(1_000);
  expect(salePollMs(upcoming, START - 3_600_000)).toBe(30_000);
  expect([addJitter(1_000, 0), addJitter(1_000, 1)]).toEqual([900, 1_100]);
});
