// The server's time, as the page estimates it. The estimate uses the browser's monotonic clock, so a wrong clock of the buyer's
// device, or one that changes during a sale, has no effect.

/** One reading of the server's clock. `sentMs` and `receivedMs` are monotonic (`performance.now()`). */
export interface ClockSample {
  serverMs: number;
  sentMs: number;
  receivedMs: number;
}

/** How far a device's monotonic clock may drift from real time: 200 ppm is a bad quartz. */
const DRIFT = 0.0002;

export class ServerClock {
  #offsetMs = 0;
  #errorMs = Number.POSITIVE_INFINITY;
  #sampledMs = 0;

  get isSet(): boolean {
    return Number.isFinite(this.#errorMs);
  }

  /** Keeps a sample that is more exact than the last one, or that shows the last one to be wrong (the device slept). */
  addSample({ serverMs, sentMs, receivedMs }: ClockSample): void {
    const errorMs = Math.max(0, receivedMs - sentMs) / 2;
    const offsetMs = serverMs - (sentMs + errorMs);
    const lastErrorMs = this.#errorMs + DRIFT * Math.max(0, receivedMs - this.#sampledMs);
    const refutesLast = Math.abs(offsetMs - this.#offsetMs) > errorMs + lastErrorMs + 1;
    if (errorMs <= lastErrorMs || refutesLast) {
      this.#offsetMs = offsetMs;
      this.#errorMs = errorMs;
      this.#sampledMs = receivedMs;
    }
  }

  /** The server's time at a monotonic moment; the device's own time until the first sample. */
  timeAt(monotonicMs: number, deviceMs: number): number {
    return this.isSet ? this.#offsetMs + monotonicMs : deviceMs;
  }
}

const clock = new ServerClock();

/** The server's time, in milliseconds since 1970. */
export function serverNow(): number {
  return clock.timeAt(performance.now(), Date.now());
}

/**
 * Adds the time in a reply as a sample. A cached reply may carry an old `serverTime`; its `Date` header is current, but exact
 * only to the second.
 */
export function syncClock(serverTime: string, date: string | null, sentMs: number, receivedMs: number): void {
  const bodyMs = Date.parse(serverTime);
  const headerMs = date === null ? Number.NaN : Date.parse(date);
  if (Number.isNaN(bodyMs)) return;
  if (!Number.isNaN(headerMs) && Math.abs(headerMs - bodyMs) > 2_000) {
    clock.addSample({ serverMs: headerMs + 500, sentMs: sentMs - 500, receivedMs: receivedMs + 500 });
  } else {
    clock.addSample({ serverMs: bodyMs, sentMs, receivedMs });
  }
}
