// Idempotency keys of orders, payments, refunds, restocks, and of new products and sales. An operation keeps its key across retries,
// reloads and tabs until the server has given a final reply, so that the server runs it once.

import { ApiError } from "./errors";
import { type RetryOptions, retryTransient } from "./retry";

const PREFIX = "doorbuster.intent.";
/** The server keeps keys for at least a day. An older key could start the operation a second time. */
const KEPT_MS = 20 * 3_600_000;
/** When more operations than this are open, the keys of the oldest are removed. */
const KEPT_MAX = 32;
/** With these codes the key is of no more use: it stands for other content, or for something that was deleted since. */
const ENDS_KEY = new Set(["key_reused", "product_unknown", "sale_unknown"]);

/** The part of `localStorage`, which all tabs share, that holds the keys. */
export interface KeyStorage {
  readonly length: number;
  key(index: number): string | null;
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
  removeItem(name: string): void;
}

export class IdempotencyKeys {
  readonly #storage: KeyStorage;
  readonly #nowMs: () => number;
  readonly #generateKey: () => string;

  constructor(storage: KeyStorage, nowMs: () => number, generateKey: () => string) {
    this.#storage = storage;
    this.#nowMs = nowMs;
    this.#generateKey = generateKey;
  }

  /** Sends an operation with its key, again after each transient error. Any other refusal leaves the key free, so it is kept. */
  async submit<T>(operation: string, send: (key: string) => Promise<T>, options?: RetryOptions): Promise<T> {
    const key = this.keyFor(operation);
    try {
      const reply = await retryTransient(() => send(key), options);
      this.release(operation);
      return reply;
    } catch (error) {
      if (error instanceof ApiError && ENDS_KEY.has(error.code)) this.release(operation);
      throw error;
    }
  }

  /** The stored key of an operation, or a new one. */
  keyFor(operation: string): string {
    const stored = this.#read(PREFIX + operation);
    if (stored !== null && Math.abs(this.#nowMs() - stored.atMs) < KEPT_MS) return stored.key;
    const key = this.#generateKey();
    try {
      this.#removeOldKeys();
      this.#storage.setItem(PREFIX + operation, `${this.#nowMs()} ${key}`);
    } catch {
      // Storage is full or forbidden: the key lasts for this request and its retries.
    }
    return key;
  }

  /** The server's reply was final: the next request is a new operation with a new key. */
  release(operation: string): void {
    try {
      this.#storage.removeItem(PREFIX + operation);
    } catch {
      // Nothing was stored.
    }
  }

  #read(name: string): { atMs: number; key: string } | null {
    try {
      const [at, key] = this.#storage.getItem(name)?.split(" ") ?? [];
      return at && key ? { atMs: Number(at), key } : null;
    } catch {
      return null;
    }
  }

  #removeOldKeys(): void {
    const names = Array.from({ length: this.#storage.length }, (_, index) => this.#storage.key(index));
    const kept = names
      .filter((name): name is string => name?.startsWith(PREFIX) ?? false)
      .map((name) => ({ name, atMs: this.#read(name)?.atMs ?? 0 }))
      .sort((a, b) => b.atMs - a.atMs);
    const old = kept.filter(
      ({ atMs }, index) => index >= KEPT_MAX - 1 || Math.abs(this.#nowMs() - atMs) >= KEPT_MS,
    );
    for (const { name } of old) this.#storage.removeItem(name);
  }
}

/** 128 random bits. `crypto.randomUUID` is missing on a page without TLS. */
export function generateKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const NO_STORAGE: KeyStorage = {
  length: 0,
  key: () => null,
  getItem: () => null,
  setItem: () => {},
  removeItem: () => {},
};

function sharedStorage(): KeyStorage {
  try {
    return globalThis.localStorage ?? NO_STORAGE;
  } catch {
    return NO_STORAGE;
  }
}

export const idempotencyKeys = new IdempotencyKeys(sharedStorage(), Date.now, generateKey);
