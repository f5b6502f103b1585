import { expect, test } from "vitest";
import { activityKey, endMs, isTurnNear, listActivities, turnEnd } from "./activity";
import { makeOrder as order, makePlace as place } from "./testFixtures";

const UNTIL = "2026-11-27T09:02:00.000Z";
const UNTIL_MS = Date.parse(UNTIL);
const admitted = place({ status: "admitted", position: 0, ahead: 0, admittedUntil: UNTIL });

test("the most urgent comes first, and what is over is not under way", () => {
  const places = [
    place({ flashSaleId: "far", position: 900, ahead: 899 }),
    place({ flashSaleId: "near" }),
    admitted,
    place({ flashSaleId: "gone", status: "lapsed" }),
    place({ flashSaleId: "past", status: "over" }),
    place({ flashSaleId: "given-up", status: "left" }),
  ];
  const orders = [
    order("confirmed"),
    order("expired"),
    order("pending", { id: "paid", paying: true, expiresAt: "2026-11-27T09:00:01.000Z" }),
    order("pending", { id: "held", expiresAt: "2026-11-27T09:01:00.000Z" }),
  ];
  const list = listActivities(places, orders);
  expect(list.map(({ kind, saleId }) => `${kind} ${saleId}`)).toEqual([
    "held s",
    "admitted s",
    "paying s",
    "waiting near",
    "waiting far",
  ]);
  expect(list.map(endMs)).toEqual([UNTIL_MS - 60_000, UNTIL_MS, null, null, null]);
  expect(listActivities([], [])).toEqual([]);
});

test("in a pause a turn has a rest that stands still, and no end", () => {
  const paused = place({ status: "admitted", admittedUntil: null, remainingSeconds: 73 });
  expect(turnEnd(admitted)).toEqual({ kind: "running", untilMs: UNTIL_MS });
  expect(turnEnd(paused)).toEqual({ kind: "frozen", leftMs: 73_000 });
  expect(turnEnd(place({ status: "admitted" }))).toEqual({ kind: "unknown" });
  expect(listActivities([paused], []).map(endMs)).toEqual([null]);
});

test("the key changes with a turn or a payment, not with a position", () => {
  const key = (...args: Parameters<typeof listActivities>) => listActivities(...args).map(activityKey);
  expect(key([place()], [])).toEqual(key([place({ position: 1, ahead: 0 })], []));
  expect(key([place()], [])).not.toEqual(key([admitted], []));
  expect(key([place()], [])).not.toEqual(key([place({ ticket: 8 })], []));
  expect(key([], [order("pending")])).not.toEqual(key([], [order("pending", { paying: true })]));
});

test("the screen stays on for a turn, or one that may come soon, but not for hours", () => {
  const near = (wait: number | null) =>
    listActivities([place({ estimatedWaitSeconds: wait })], []).map(isTurnNear);
  expect([near(60), near(null), near(7_200)]).toEqual([[true], [true], [false]]);
  expect(listActivities([admitted], [order("pending")]).map(isTurnNear)).toEqual([false, true]);
});
