import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { computePlace, type LineFeed } from "./lineFeed";

interface Vector {
  name: string;
  now: string;
  feed: LineFeed;
  places: { ticket: number; position: number | null; estimatedWaitSeconds: number | null }[];
}

const VECTORS: Vector[] = JSON.parse(
  readFileSync(new URL("../../../crates/documents/tests/line-feed-vectors.json", import.meta.url), "utf8"),
);

test.each(VECTORS)("$name: the same as the server's law", ({ now, feed, places }) => {
  const computed = places.map(({ ticket }) => ({
    ticket,
    position: null,
    estimatedWaitSeconds: null,
    ...computePlace(feed, ticket, Date.parse(now)),
  }));
  expect(computed).toEqual(places);
});

test("there are cases of every kind", () => {
  const places = VECTORS.flatMap(({ places }) => places);
  expect(places.filter(({ position }) => position === null).length).toBeGreaterThan(20);
  expect(places.filter(({ estimatedWaitSeconds }) => estimatedWaitSeconds !== null).length).toBeGreaterThan(
    50,
  );
  expect(VECTORS.some(({ feed }) => feed.line !== null && feed.line?.blocks !== "")).toBe(true);
});
