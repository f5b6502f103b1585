// What a buyer wants to do once, and the idempotency key that makes it happen once: kept across retries, reloads and tabs
// until the server has given a final answer.

const PREFIX = "doorbuster.intent.";
/** The server keeps keys for at least a day; an older one could mean something new. */
const KEPT_MS = 20 * 3_600_000;
/** More open intents than this nobody has: the oldest go. */
const KEPT_MAX = 32;

/** Where keys are kept: `localStorage`, which all tabs share. */
export interface Shelf {
  readonly length: number;
  key(index: number): string | null;
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
  removeItem(name: string): void;
}

export class Intents {
  readonly #shelf: Shelf;
  readonly #nowMs: () => number;
  readonly #makeKey: () => string;

  constructor(shelf: Shelf, nowMs: () => number, makeKey: () => string) {
    this.#shelf = shelf;
    this.#nowMs = nowMs;
    this.#makeKey = makeKey;
  }

  /** The key of this intent: the one it has, or a new one. */
  keyOf(intent: string): string {
    const known = this.#read(PREFIX + intent);
    if (known !== null && Math.abs(this.#nowMs() - known.atMs) < KEPT_MS) return known.key;
    const key = this.#makeKey();
    try {
      this.#tidy();
      this.#shelf.setItem(PREFIX + intent, `${this.#nowMs()} ${key}`);
    } catch {
      // A full or forbidden store: the key then holds for this one request and its retries.
    }
    return key;
  }

  /** The answer was final: the next time is another intent. */
  settle(intent: string): void {
    try {
      this.#shelf.removeItem(PREFIX + intent);
    } catch {
      // Nothing was kept.
    }
  }

  #read(name: string): { atMs: number; key: string } | null {
    try {
      const [at, key] = this.#shelf.getItem(name)?.split(" ") ?? [];
      return at && key ? { atMs: Number(at), key } : null;
    } catch {
      return null;
    }
  }

  #tidy(): void {
    const names = Array.from({ length: this.#shelf.length }, (_, index) => this.#shelf.key(index));
    const kept = names
      .filter((name): name is string => name?.startsWith(PREFIX) ?? false)
      .map((name) => ({ name, atMs: this.#read(name)?.atMs ?? 0 }))
      .sort((a, b) => b.atMs - a.atMs);
    const old = kept.filter(
      ({ atMs }, index) => index >= KEPT_MAX - 1 || Math.abs(this.#nowMs() - atMs) >= KEPT_MS,
    );
    for (const { name } of old) this.#shelf.removeItem(name);
  }
}

/** 128 random bits. `crypto.randomUUID` would not be there on a page without TLS. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const FORBIDDEN: Shelf = {
  length: 0,
  key: () => null,
  getItem: () => null,
  setItem: () => {},
  removeItem: () => {},
};

function shelf(): Shelf {
  try {
    return globalThis.localStorage ?? FORBIDDEN;
  } catch {
    return FORBIDDEN;
  }
}

export const intents = new Intents(shelf(), Date.now, randomKey);
