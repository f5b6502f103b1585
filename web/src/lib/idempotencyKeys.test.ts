import { expect, test } from "vitest";
import { ApiError, NetworkError } from "./errors";
import { generateKey, IdempotencyKeys, type KeyStorage } from "./idempotencyKeys";

function memoryStorage(): KeyStorage {
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

test("an operation keeps its key until the key is released, also in another tab", () => {
  const shared = memoryStorage();
  const [one, two] = [
    new IdempotencyKeys(shared, () => 0, generateKey),
    new IdempotencyKeys(shared, () => 0, generateKey),
  ];
  const key = one.keyFor("order:ada:lamp:1");
  expect(one.keyFor("order:ada:lamp:1")).toBe(key);
  expect(two.keyFor("order:ada:lamp:1")).toBe(key);
  expect(one.keyFor("order:ada:lamp:2")).not.toBe(key);
  two.release("order:ada:lamp:1");
  expect(one.keyFor("order:ada:lamp:1")).not.toBe(key);
});

test("a key that the server may have dropped is not used again", () => {
  let now = 0;
  const idempotencyKeys = new IdempotencyKeys(memoryStorage(), () => now, generateKey);
  const key = idempotencyKeys.keyFor("order");
  now = 24 * 3_600_000;
  expect(idempotencyKeys.keyFor("order")).not.toBe(key);
});

/** The key that each request had, when the server gives these replies to one operation. */
async function keysSent(submissions: (Error | null)[][]): Promise<string[]> {
  const idempotencyKeys = new IdempotencyKeys(memoryStorage(), () => 0, generateKey);
  const keys: string[] = [];
  for (const replies of submissions) {
    const send = async (key: string) => {
      keys.push(key);
      const error = replies.shift();
      if (error) throw error;
    };
    const options = { tries: replies.length, sleep: async () => {} };
    await idempotencyKeys.submit("restock:lamp:5", send, options).catch(() => {});
  }
  return keys;
}

const lost = new NetworkError(null);
const refusal = (code: string, status: number) => new ApiError(new Response(null, { status }), { code });

test("after lost replies the same key is sent again, also by the next submission", async () => {
  const keys = await keysSent([
    [lost, refusal("not_recorded", 503)],
    [refusal("request_in_flight", 409), null],
  ]);
  expect(keys).toHaveLength(4);
  expect(new Set(keys).size).toBe(1);
});

test("the submission after a success has a new key", async () => {
  const [first, repeated, next] = await keysSent([[lost, null], [null]]);
  expect(repeated).toBe(first);
  expect(next).not.toBe(first);
});

test("a refusal keeps the key, unless the key is of no more use", async () => {
  for (const code of ["rate_limited", "slug_taken", "bad_policy", "internal"]) {
    const [first, next] = await keysSent([[refusal(code, 409)], [null]]);
    expect(next, code).toBe(first);
  }
  for (const code of ["key_reused", "product_unknown", "sale_unknown"]) {
    const [first, next] = await keysSent([[refusal(code, 404)], [null]]);
    expect(next, code).not.toBe(first);
  }
});

test("at most 32 keys are stored", () => {
  const kept = memoryStorage();
  let now = 0;
  const idempotencyKeys = new IdempotencyKeys(kept, () => now++, generateKey);
  for (let n = 0; n < 100; n++) idempotencyKeys.keyFor(`order:${n}`);
  expect(kept.length).toBeLessThanOrEqual(32);
  const last = idempotencyKeys.keyFor("order:99");
  expect(idempotencyKeys.keyFor("order:99")).toBe(last);
});

test("without storage an operation still gets a key", () => {
  const no = () => {
    throw new Error("forbidden");
  };
  const idempotencyKeys = new IdempotencyKeys(
    { length: 0, key: no, getItem: no, setItem: no, removeItem: no },
    () => 0,
    generateKey,
  );
  expect(idempotencyKeys.keyFor("order")).toMatch(/^[0-9a-f]{32}$/);
  idempotencyKeys.release("order");
});
