import { expect, test } from "vitest";
import type { Follower } from "./queries";
import { listReceivers, RECEIVERS, rewindText } from "./receivers";

function follower(change: Partial<Follower>): Follower {
  return { name: "webhooks", isOn: true, eventsBehind: 0, sales: [], ...change };
}

const FAILURE = { beganAt: "2026-11-27T09:00:00Z", failedAt: "2026-11-27T09:05:00Z", reason: "refused" };

test("every receiver is listed, also those that are off and those that this version does not know", () => {
  const rows = listReceivers([follower({}), follower({ name: "warehouse", eventsBehind: 3 })]);
  expect(rows.map(({ name }) => name)).toEqual([...RECEIVERS, "warehouse"]);
  expect(rows.map(({ state }) => state)).toEqual(["off", "current", "off", "off", "off", "behind"]);
});

test("a failure counts while it lasts", () => {
  const stateOf = (change: Partial<Follower>) =>
    listReceivers([follower(change)]).find(({ name }) => name === "webhooks")?.state;
  expect(stateOf({ failure: FAILURE, eventsBehind: 7 })).toBe("failing");
  expect(stateOf({ failure: { ...FAILURE, endedAt: "2026-11-27T09:06:00Z" }, eventsBehind: 7 })).toBe(
    "behind",
  );
  expect(stateOf({ failure: { ...FAILURE, endedAt: "2026-11-27T09:06:00Z" } })).toBe("current");
  expect(stateOf({ failure: FAILURE, eventsBehind: 7, isOn: false })).toBe("off");
});

test("what a receiver does when it is set back is said of each", () => {
  // Kafka, and whatever this version does not know, gets the events again; the others write what is missing.
  const texts = [...RECEIVERS, "warehouse"].map(rewindText);
  expect(texts.map((key) => key.replace("integration.rewind_", ""))).toEqual([
    "projector",
    "webhooks",
    "mail",
    "text",
    "text",
    "text",
  ]);
});
