// What a request can fail with: a problem that the server reports, no reply, or an ended session. Pages decide by the code alone.

import type { components } from "../api/schema";

type ProblemBody = Partial<components["schemas"]["Problem"]> & {
  position?: number;
  orderStatus?: string;
  limit?: string;
};

/** The server replied with a problem. */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  readonly retryAfterS: number | null;
  readonly body: ProblemBody;
  readonly requestId: string | null;

  constructor(response: Response, body: ProblemBody) {
    super(body.code ?? `status ${response.status}`);
    this.name = "ApiError";
    this.code = body.code ?? (response.status >= 500 ? "unavailable" : "bad_request");
    this.status = response.status;
    this.body = body;
    this.requestId = response.headers.get("x-request-id");
    const after = Number(response.headers.get("retry-after"));
    this.retryAfterS = after > 0 ? after : null;
  }
}

/** No reply came: there is no network, or the server does not answer. */
export class NetworkError extends Error {
  constructor(cause: unknown) {
    super("no reply", { cause });
    this.name = "NetworkError";
  }
}

/** The session ended, so the request was not sent or not accepted. */
export class SessionEndedError extends Error {
  constructor() {
    super("the session has ended");
    this.name = "SessionEndedError";
  }
}
