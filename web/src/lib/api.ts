// The only client of the API: it takes its types from the generated schema, sends the access token, renews an expired token once,
// and limits the time of each request.

import createClient from "openapi-fetch";
import type { components, paths } from "../api/schema";
import { syncClock } from "./clock";
import { connection, trackConnection } from "./connection";
import { ApiError, NetworkError, SessionEndedError } from "./errors";
import { accessToken, renewToken } from "./session";

export type Sale = components["schemas"]["SaleJson"];
export type AdminSale = components["schemas"]["AdminSaleJson"];
export type Product = components["schemas"]["ProductJson"];
export type Place = components["schemas"]["PlaceJson"];
export type Order = components["schemas"]["OrderJson"];

/** The server gives up after 10 s; a reply that takes longer is lost. */
const TIMEOUT_MS = 15_000;

export const client = createClient<paths>({ baseUrl: location.origin, fetch: sendRequest });

async function sendRequest(request: Request): Promise<Response> {
  const isSignIn = request.url.includes("/auth/login") || request.url.includes("/auth/register");
  const token = isSignIn ? null : await accessToken();
  const repeated = token === null ? null : request.clone();
  const response = await sendWithToken(request, token);
  if (repeated === null || response.status !== 401) return response;
  return sendWithToken(repeated, await renewToken(token));
}

async function sendWithToken(request: Request, token: string | null): Promise<Response> {
  if (token !== null) request.headers.set("authorization", `Bearer ${token}`);
  try {
    return await trackConnection(fetch(request, { signal: AbortSignal.timeout(TIMEOUT_MS) }));
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
