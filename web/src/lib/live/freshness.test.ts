import { expect, test } from "vitest";
import { makePlace as place } from "../testFixtures";
import { fetchFresh, isOlder, markChanged, mergePlace } from "./freshness";

const AT = "2026-11-27T09:00:00.000Z";
const LATER = "2026-11-27T09:00:01.000Z";

test("the version decides, and with equal versions the time", () => {
  expect(isOlder({ version: 4, serverTime: LATER }, { version: 5, serverTime: AT })).toBe(true);
  expect(isOlder({ version: 5, serverTime: AT }, { version: 5, serverTime: LATER })).toBe(true);
  expect(isOlder({ version: 5, serverTime: AT }, { version: 5, serverTime: AT })).toBe(false);
  expect(isOlder({ version: 6, serverTime: AT }, { version: 5, serverTime: LATER })).toBe(false);
});

test("with one ticket a buyer never moves back, loses a turn, or gets a ticket that was given up", () => {
  const admitted = place({ status: "admitted", position: 0, ahead: 0 });
  expect(mergePlace(admitted, place())).toBe(admitted);
  expect(mergePlace(place(), admitted)).toBe(admitted);
  expect(mergePlace(place(), place({ position: 5, ahead: 4 }))).toMatchObject({ position: 3, ahead: 2 });
  expect(mergePlace(place({ ticket: 9 }), place({ ticket: 7 }))).toMatchObject({ ticket: 9 });
  expect(mergePlace(admitted, place({ ticket: 9 }))).toMatchObject({ ticket: 9, status: "waiting" });
  expect(mergePlace(place(), null)).toBeNull();
  const lapsed = place({ status: "lapsed", position: 0, ahead: 0 });
  expect(mergePlace(admitted, lapsed)).toBe(lapsed);
  expect(mergePlace(lapsed, admitted)).toBe(admitted);
  expect(mergePlace(lapsed, place())).toBe(lapsed);
  expect(mergePlace(lapsed, place({ ticket: 9 }))).toMatchObject({ ticket: 9, status: "waiting" });
});

test("an outdated reply is fetched again, three times at most", async () => {
  let requests = 0;
  const reply = await fetchFresh(["own", "place", "s"], async () => {
    requests += 1;
    if (requests === 1) markChanged(["own", "place", "s"]);
    return requests;
  });
  expect(reply).toBe(2);
  const last = await fetchFresh(["own", "orders"], async () => {
    requests += 1;
    markChanged(["own", "orders"]);
    return requests;
  });
  expect(last).toBe(5);
});
