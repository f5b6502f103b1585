// Retries of requests that are safe to repeat: those with an idempotency key, and those whose second run changes nothing.

import { ApiError, NetworkError } from "./errors";

/** After a problem with one of these codes the client may send the same request again, with the same idempotency key. */
const TRANSIENT = new Set([
  "request_in_flight",
  "overloaded",
  "unavailable",
  "not_recorded",
  "timeout",
  "request_timeout",
  "payment_unknown",
]);

export function isTransient(error: unknown): boolean {
  return error instanceof NetworkError || (error instanceof ApiError && TRANSIENT.has(error.code));
}

/** How long to wait before try number `attempt` (from 0): what the server says, else exponential backoff; both with jitter. */
export function retryDelayMs(error: unknown, attempt: number, chance: number): number {
  const retryAfterS = error instanceof ApiError ? error.retryAfterS : null;
  if (retryAfterS !== null) return Math.min(retryAfterS, 15) * 1000 + chance * 400;
  return Math.min(500 * 2 ** attempt, 8_000) * (0.7 + 0.6 * chance);
}

export interface RetryOptions {
  tries?: number;
  sleep?: (ms: number) => Promise<void>;
  onRetry?: () => void;
}

/** Runs `act` until it succeeds, fails with an error that is not transient, or has failed `tries` times. */
export async function retryTransient<T>(
  act: () => Promise<T>,
  { tries = 5, sleep = sleepMs, onRetry = () => {} }: RetryOptions = {},
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await act();
    } catch (error) {
      if (!isTransient(error) || attempt + 1 >= tries) throw error;
      onRetry();
      await sleep(retryDelayMs(error, attempt, Math.random()));
    }
  }
}

function sleepMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
