// The server's clock, as the page knows it. Built on the browser's monotonic clock, so it does not matter what time the
// buyer's device believes it is, nor whether that changes in mid-sale.

/** One look at the server's clock. `sentMs` and `receivedMs` are monotonic (`performance.now()`). */
export interface Sample {
  serverMs: number;
  sentMs: number;
  receivedMs: number;
}

/** How far a device's monotonic clock may drift from real time: 200 ppm is a bad quartz. */
const DRIFT = 0.0002;

export class ServerClock {
  #offsetMs = 0;
  #errorMs = Number.POSITIVE_INFINITY;
  #takenMs = 0;

  /** True once the server has told the time. */
  get isSet(): boolean {
    return Number.isFinite(this.#errorMs);
  }

  /** Takes a sample if it is better than what is known, or if what is known cannot be true any more (the device slept). */
  take({ serverMs, sentMs, receivedMs }: Sample): void {
    const errorMs = Math.max(0, receivedMs - sentMs) / 2;
    const offsetMs = serverMs - (sentMs + errorMs);
    const knownErrorMs = this.#errorMs + DRIFT * Math.max(0, receivedMs - this.#takenMs);
    const contradicts = Math.abs(offsetMs - this.#offsetMs) > errorMs + knownErrorMs + 1;
    if (errorMs <= knownErrorMs || contradicts) {
      this.#offsetMs = offsetMs;
      this.#errorMs = errorMs;
      this.#takenMs = receivedMs;
    }
  }

  /** The server's time at a monotonic moment; the device's own until the server has told it. */
  at(monotonicMs: number, deviceMs: number): number {
    return this.isSet ? this.#offsetMs + monotonicMs : deviceMs;
  }
}

const clock = new ServerClock();

/** What time it is for the server, in milliseconds since 1970. */
export function serverNow(): number {
  return clock.at(performance.now(), Date.now());
}

/**
 * Feeds the clock from a reply. A reply that a cache has kept may carry an old `serverTime`; its `Date` header is of now,
 * but only to the second.
 */
export function learnTime(serverTime: string, date: string | null, sentMs: number, receivedMs: number): void {
  const bodyMs = Date.parse(serverTime);
  const headerMs = date === null ? Number.NaN : Date.parse(date);
  if (Number.isNaN(bodyMs)) return;
  if (!Number.isNaN(headerMs) && Math.abs(headerMs - bodyMs) > 2_000) {
    clock.take({ serverMs: headerMs + 500, sentMs: sentMs - 500, receivedMs: receivedMs + 500 });
  } else {
    clock.take({ serverMs: bodyMs, sentMs, receivedMs });
  }
}
