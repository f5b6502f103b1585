// The server's time, as the page estimates it. The estimate uses the browser's monotonic clock, so a wrong clock of the buyer's
// device, or one that changes during a sale, has no effect. Until the first reply the time is unknown, and no timer shows a figure.

import { Store } from "./store";

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

  /** The server's time at a monotonic moment; `null` until the first sample. */
  timeAt(monotonicMs: number): number | null {
    return this.isSet ? this.#offsetMs + monotonicMs : null;
  }
}

const clock = new ServerClock();

/** Whether the server's time is known. It stays known once it is. */
export const clockState = new Store<"unknown" | "known">("unknown");

/** The server's time, in milliseconds since 1970; `null` while it is unknown. */
export function serverNow(): number | null {
  return clock.timeAt(performance.now());
}

function addSample(sample: ClockSample): void {
  clock.addSample(sample);
  clockState.set("known");
}

/**
 * Adds the time in a reply as a sample. A cached reply may carry an old `serverTime`; its `Date` header is current, but exact
 * only to the second.
 */
export function syncClock(serverTime: string, date: string | null, sentMs: number, receivedMs: number): void {
  const bodyMs = Date.parse(serverTime);
  const headerMs = parseDate(date);
  if (Number.isNaN(bodyMs)) return;
  if (headerMs !== null && Math.abs(headerMs - bodyMs) > 2_000) {
    addSample(headerSample(headerMs, sentMs, receivedMs));
  } else {
    addSample({ serverMs: bodyMs, sentMs, receivedMs });
  }
}

/** Adds the `Date` header of a reply without a `serverTime`, while no better sample is known. */
export function syncClockByHeader(date: string | null, sentMs: number, receivedMs: number): void {
  const headerMs = parseDate(date);
  if (clock.isSet || headerMs === null) return;
  addSample(headerSample(headerMs, sentMs, receivedMs));
}

function parseDate(date: string | null): number | null {
  const ms = date === null ? Number.NaN : Date.parse(date);
  return Number.isNaN(ms) ? null : ms;
}

/** A `Date` header names the second in which the reply was made. */
function headerSample(headerMs: number, sentMs: number, receivedMs: number): ClockSample {
  return { serverMs: headerMs + 500, sentMs: sentMs - 500, receivedMs: receivedMs + 500 };
}
