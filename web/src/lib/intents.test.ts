import { expect, test } from "vitest";
import { Intents, randomKey, type Shelf } from "./intents";

function shelf(): Shelf {
  const kept = new Map<string, string>();
  return {
    get length() {
      return kept.size;
    },
    key: (index) => [...kept.keys()][index] ?? null,
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => void kept.set(name, value),
    removeItem: (name) => void kept.delete(name),
  };
}

test("an intent keeps its key until it is settled, also in another tab", () => {
  const shared = shelf();
  const [one, two] = [new Intents(shared, () => 0, randomKey), new Intents(shared, () => 0, randomKey)];
  const key = one.keyOf("order:ada:lamp:1");
  expect(one.keyOf("order:ada:lamp:1")).toBe(key);
  expect(two.keyOf("order:ada:lamp:1")).toBe(key);
  expect(one.keyOf("order:ada:lamp:2")).not.toBe(key);
  two.settle("order:ada:lamp:1");
  expect(one.keyOf("order:ada:lamp:1")).not.toBe(key);
});

test("a key that the server may have forgotten is not used again", () => {
  let now = 0;
  const intents = new Intents(shelf(), () => now, randomKey);
  const key = intents.keyOf("order");
  now = 24 * 3_600_000;
  expect(intents.keyOf("order")).not.toBe(key);
});

test("there are never more than a few", () => {
  const kept = shelf();
  let now = 0;
  const intents = new Intents(kept, () => now++, randomKey);
  for (let n = 0; n < 100; n++) intents.keyOf(`order:${n}`);
  expect(kept.length).toBeLessThanOrEqual(32);
  const last = intents.keyOf("order:99");
  expect(intents.keyOf("order:99")).toBe(last);
});

test("a store that is forbidden does not keep anyone from buying", () => {
  const no = () => {
    throw new Error("forbidden");
  };
  const intents = new Intents(
    { length: 0, key: no, getItem: no, setItem: no, removeItem: no },
    () => 0,
    randomKey,
  );
  expect(intents.keyOf("order")).toMatch(/^[0-9a-f]{32}$/);
  intents.settle("order");
});
