// The only client of the API: it takes its types from the generated schema, sends the access token, renews an expired token once,
// and limits the time of each request.

import createClient from "openapi-fetch";
import type { ApiPaths } from "../api/contract";
import { apiOrigin } from "./apiOrigin";
import { syncClock, syncClockByHeader } from "./clock";
import { connection, trackConnection } from "./connection";
import { ApiError, NetworkError, SessionEndedError } from "./errors";
import { accessToken, renewToken } from "./session";

export type { AdminOrder, AdminSale, Order, Place, Product, Sale } from "../api/contract";

/** The server gives up after 10 s; a reply that takes longer is lost. */
const TIMEOUT_MS = 15_000;

export const client = createClient<ApiPaths>({ baseUrl: apiOrigin(), fetch: sendRequest });

async function sendRequest(request: Request): Promise<Response> {
  const isSignIn = request.url.includes("/auth/login") || request.url.includes("/auth/register");
  const token = isSignIn ? null : await accessToken();
  const repeated = token === null ? null : request.clone();
  const response = await sendWithToken(request, token);
  if (repeated === null || response.status !== 401) return response;
  // A wrong current password is a 401 too, and must not be sent twice: wrong passwords are counted.
  if (request.url.endsWith("/auth/password") && (await readCode(response)) !== "unauthorized")
    return response;
  return sendWithToken(repeated, await renewToken(token));
}

async function readCode(response: Response): Promise<string | undefined> {
  const problem: { code?: string } = await response
    .clone()
    .json()
    .catch(() => ({}));
  return problem.code;
}

async function sendWithToken(request: Request, token: string | null): Promise<Response> {
  if (token !== null) request.headers.set("authorization", `Bearer ${token}`);
  const sentMs = performance.now();
  try {
    const response = await trackConnection(fetch(request, { signal: AbortSignal.timeout(TIMEOUT_MS) }));
    // A reply about sales is more exact: it has the server's time in its body.
    if (!request.url.includes("/v1/flash-sales")) {
      syncClockByHeader(response.headers.get("date"), sentMs, performance.now());
    }
    return response;
  } catch (error) {
    throw new NetworkError(error);
  }
}

interface ApiReply<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The data of a successful reply; every other reply becomes an error. */
export async function unwrapReply<T>(request: Promise<ApiReply<T>>): Promise<NonNullable<T>> {
  const { data, error, response } = await request;
  if (response.ok && data !== undefined && data !== null) return data;
  // A proxy does not reach the server. For the buyer this is the same as no network.
  if (response.status === 502 || response.status === 504) connection.set("lost");
  if (response.status === 401 && (error as { code?: string } | undefined)?.code === "unauthorized") {
    throw new SessionEndedError();
  }
  throw new ApiError(response, typeof error === "object" && error !== null ? error : {});
}

/** Like `unwrapReply`, and adds the `serverTime` of the reply to the clock. */
export async function unwrapTimedReply<T>(
  request: Promise<ApiReply<T>>,
  getServerTime: (data: NonNullable<T>) => string | undefined,
  sentMs = performance.now(),
): Promise<NonNullable<T>> {
  const data = await unwrapReply(request);
  const date = (await request).response.headers.get("date");
  syncClock(getServerTime(data) ?? "", date, sentMs, performance.now());
  return data;
}
