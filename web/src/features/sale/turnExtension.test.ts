import { expect, test } from "vitest";
import type { Place } from "../../lib/api";
import { makePlace } from "../../lib/testFixtures";
import { getExtensionState } from "./turnExtension";

const place = (change: Partial<Place> = {}) =>
  makePlace({ status: "admitted", position: 0, ahead: 0, extensionSeconds: 600, ...change });

test("the extension is offered to an admitted buyer, and only where the sale has one", () => {
  expect(getExtensionState(place(), null)).toEqual({ kind: "offered", seconds: 600 });
  const { extensionSeconds: _, ...without } = place();
  expect(getExtensionState(without, null)).toEqual({ kind: "none" });
  expect(getExtensionState(place({ status: "waiting", position: 1 }), null)).toEqual({ kind: "none" });
});

test("a used extension stays used, even if an outdated reply still offers it", () => {
  const used = { ticket: 7, seconds: 600 };
  expect(getExtensionState(place(), used)).toEqual({ kind: "used", seconds: 600 });
  const { extensionSeconds: _, ...after } = place();
  expect(getExtensionState(after, used)).toEqual({ kind: "used", seconds: 600 });
});

test("another turn has its own extension", () => {
  expect(getExtensionState(place({ ticket: 9 }), { ticket: 7, seconds: 600 })).toEqual({
    kind: "offered",
    seconds: 600,
  });
});
