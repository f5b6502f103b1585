// Which lines' feeds were read a moment ago: their places need few polls.

/** A feed that was not read for so long is not relied on. */
const FRESH_MS = 5_000;

class FeedState {
  readonly #readMs = new Map<string, number>();

  markRead(saleId: string, nowMs = performance.now()): void {
    this.#readMs.set(saleId, nowMs);
  }

  isFresh(saleId: string, nowMs = performance.now()): boolean {
    return nowMs - (this.#readMs.get(saleId) ?? Number.NEGATIVE_INFINITY) < FRESH_MS;
  }
}

export const feedState = new FeedState();
