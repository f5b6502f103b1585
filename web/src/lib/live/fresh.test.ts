import { expect, test } from "vitest";
import type { Place } from "../api";
import { askFresh, isOlder, newerPlace, turned } from "./fresh";

const AT = "2026-11-27T09:00:00.000Z";
const LATER = "2026-11-27T09:00:01.000Z";

function place(change: Partial<Place> = {}): Place {
  return {
    flashSaleId: "s",
    ticket: 7,
    position: 3,
    ahead: 2,
    status: "waiting",
    availability: "available",
    estimatedWaitSeconds: 10,
    receipt: "7-x",
    ...change,
  };
}

test("the version counts, and the time only where it is the same", () => {
  expect(isOlder({ version: 4, serverTime: LATER }, { version: 5, serverTime: AT })).toBe(true);
  expect(isOlder({ version: 5, serverTime: AT }, { version: 5, serverTime: LATER })).toBe(true);
  expect(isOlder({ version: 5, serverTime: AT }, { version: 5, serverTime: AT })).toBe(false);
  expect(isOlder({ version: 6, serverTime: AT }, { version: 5, serverTime: LATER })).toBe(false);
});

test("with one ticket nobody moves back, out of their turn, or to a ticket that was given up", () => {
  const admitted = place({ status: "admitted", position: 0, ahead: 0 });
  expect(newerPlace(admitted, place())).toBe(admitted);
  expect(newerPlace(place(), admitted)).toBe(admitted);
  expect(newerPlace(place(), place({ position: 5, ahead: 4 }))).toMatchObject({ position: 3, ahead: 2 });
  expect(newerPlace(place({ ticket: 9 }), place({ ticket: 7 }))).toMatchObject({ ticket: 9 });
  expect(newerPlace(admitted, place({ ticket: 9 }))).toMatchObject({ ticket: 9, status: "waiting" });
  expect(newerPlace(place(), null)).toBeNull();
});

test("an answer from before a turn is asked for again, and not for ever", async () => {
  let asked = 0;
  const reply = await askFresh(["own", "place", "s"], async () => {
    asked += 1;
    if (asked === 1) turned(["own", "place", "s"]);
    return asked;
  });
  expect(reply).toBe(2);
  const last = await askFresh(["own", "orders"], async () => {
    asked += 1;
    turned(["own", "orders"]);
    return asked;
  });
  expect(last).toBe(5);
});
