// What can come of a request besides success: the server said no, or there was no answer. Pages go by the code alone.

import type { components } from "../api/schema";

type ProblemBody = Partial<components["schemas"]["Problem"]> & { position?: number; orderStatus?: string };

/** The server answered, and the answer is no. */
export class Refused extends Error {
  readonly code: string;
  readonly status: number;
  readonly retryAfterS: number | null;
  readonly body: ProblemBody;
  readonly requestId: string | null;

  constructor(response: Response, body: ProblemBody) {
    super(body.code ?? `status ${response.status}`);
    this.name = "Refused";
    this.code = body.code ?? (response.status >= 500 ? "unavailable" : "bad_request");
    this.status = response.status;
    this.body = body;
    this.requestId = response.headers.get("x-request-id");
    const after = Number(response.headers.get("retry-after"));
    this.retryAfterS = after > 0 ? after : null;
  }
}

/** Nobody answered: no network, or none of ours. */
export class Unreachable extends Error {
  constructor(cause: unknown) {
    super("no answer", { cause });
    this.name = "Unreachable";
  }
}

/** The session ended, and with it what was asked for. */
export class SessionOver extends Error {
  constructor() {
    super("session over");
    this.name = "SessionOver";
  }
}

/** After these it is right to send the very same request again, with its key. */
const PASSING = new Set([
  "request_in_flight",
  "overloaded",
  "unavailable",
  "not_recorded",
  "timeout",
  "request_timeout",
  "payment_unknown",
]);

export function isPassing(error: unknown): boolean {
  return error instanceof Unreachable || (error instanceof Refused && PASSING.has(error.code));
}

/** How long to wait before try number `attempt` (from 0): what the server says, else longer each time, with some chance. */
export function delayMs(error: unknown, attempt: number, chance: number): number {
  const told = error instanceof Refused ? error.retryAfterS : null;
  if (told !== null) return Math.min(told, 15) * 1000 + chance * 400;
  return Math.min(500 * 2 ** attempt, 8_000) * (0.7 + 0.6 * chance);
}

/** Does something that may be done again, until it is done, refused for good, or `tries` are over. */
export async function insist<T>(
  act: () => Promise<T>,
  { tries = 5, sleep = pause, onRetry = () => {} }: Insistence = {},
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await act();
    } catch (error) {
      if (!isPassing(error) || attempt + 1 >= tries) throw error;
      onRetry();
      await sleep(delayMs(error, attempt, Math.random()));
    }
  }
}

export interface Insistence {
  tries?: number;
  sleep?: (ms: number) => Promise<void>;
  onRetry?: () => void;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
