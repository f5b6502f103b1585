// The one door to the server: types from its own description, the token, one renewal, a time limit.

import createClient from "openapi-fetch";
import type { components, paths } from "../api/schema";
import { link, watched } from "./link";
import { Refused, SessionOver, Unreachable } from "./problem";
import { accessToken, renew } from "./session";

export type Sale = components["schemas"]["SaleJson"];
export type Place = components["schemas"]["PlaceJson"];
export type Order = components["schemas"]["OrderJson"];

/** The server gives up after 10 s by itself; what takes longer is lost. */
const TIMEOUT_MS = 15_000;

export const client = createClient<paths>({ baseUrl: location.origin, fetch: send });

async function send(request: Request): Promise<Response> {
  const isSignIn = request.url.includes("/auth/login") || request.url.includes("/auth/register");
  const token = isSignIn ? null : await accessToken();
  const again = token === null ? null : request.clone();
  const response = await once(request, token);
  if (again === null || response.status !== 401) return response;
  return once(again, await renew(token));
}

async function once(request: Request, token: string | null): Promise<Response> {
  if (token !== null) request.headers.set("authorization", `Bearer ${token}`);
  try {
    return await watched(fetch(request, { signal: AbortSignal.timeout(TIMEOUT_MS) }));
  } catch (error) {
    throw new Unreachable(error);
  }
}

interface Result<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The data of a reply; every other reply is thrown as what it is. */
export async function ask<T>(request: Promise<Result<T>>): Promise<NonNullable<T>> {
  const { data, error, response } = await request;
  if (response.ok && data !== undefined && data !== null) return data;
  // A proxy in between that has lost the server: to a buyer that is the same as no network.
  if (response.status === 502 || response.status === 504) link.set("lost");
  if (response.status === 401 && (error as { code?: string } | undefined)?.code === "unauthorized") {
    throw new SessionOver();
  }
  throw new Refused(response, typeof error === "object" && error !== null ? error : {});
}
