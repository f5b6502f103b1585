import { expect, test } from "vitest";
import type { Place } from "./api";
import { moreTime } from "./more";

function place(change: Partial<Place> = {}): Place {
  return {
    flashSaleId: "s",
    ticket: 7,
    position: 0,
    ahead: 0,
    status: "admitted",
    admittedUntil: "2026-11-27T09:01:00.000Z",
    extensionSeconds: 600,
    availability: "all_held",
    estimatedWaitSeconds: 0,
    receipt: "7-x",
    ...change,
  };
}

test("more time is offered to whoever is admitted, and only where the shop has it", () => {
  expect(moreTime(place(), null)).toEqual({ kind: "offered", seconds: 600 });
  const { extensionSeconds: _, ...without } = place();
  expect(moreTime(without, null)).toEqual({ kind: "none" });
  expect(moreTime(place({ status: "waiting", position: 1 }), null)).toEqual({ kind: "none" });
});

test("what was given is given, whatever an older reply still offers", () => {
  const given = { ticket: 7, seconds: 600 };
  expect(moreTime(place(), given)).toEqual({ kind: "given", seconds: 600 });
  const { extensionSeconds: _, ...after } = place();
  expect(moreTime(after, given)).toEqual({ kind: "given", seconds: 600 });
});

test("another turn has an extension of its own", () => {
  expect(moreTime(place({ ticket: 9 }), { ticket: 7, seconds: 600 })).toEqual({
    kind: "offered",
    seconds: 600,
  });
});
