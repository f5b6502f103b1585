// The session of this browser, shared by all its tabs. The refresh token works once; it is in `localStorage` and is used under a
// lock. Tabs send each other the access token. A tab keeps it across a reload, because a renewal for each reload would use up the
// rate limit of everyone behind one address. A token is valid until the server refuses it; no clock is involved.

import type { components } from "../api/schema";
import { atApi } from "./apiOrigin";
import { ApiError, NetworkError, SessionEndedError } from "./errors";
import { Store, useStore } from "./store";

type SignedInReply = components["schemas"]["SignedInReply"];
export type User = components["schemas"]["AccountReply"];

export type Session = { status: "out" } | { status: "in"; user: User } | { status: "over" };

const SESSION = "doorbuster.session";
const ACCESS = "doorbuster.access";
const LOCK = "doorbuster.renewToken";
/** How long a tab without a token waits for one from another tab. */
const TOKEN_WAIT_MS = 150;
/**
 * How long a tab waits before it renews. It may get the lock before it learns of the last renewal, by message or by storage; and a
 * refresh token that is used twice ends the session.
 */
const RENEWAL_WAIT_MS = 600;

interface StoredSession {
  /** `null` for a guest, whose visit ends with the access token. */
  refreshToken: string | null;
  user: User;
}

type TabMessage =
  /** All tabs accept a token of the kind `tokens`. An `answer` may be outdated: only the tabs that asked use it. */
  | { kind: "tokens" | "answer"; access: string; user: User }
  | { kind: "ask" }
  | { kind: "gone"; over: boolean };

let access: string | null = readStorage<string>(() => sessionStorage, ACCESS);
const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("doorbuster");
let renewal: Promise<string> | null = null;

export const session = new Store<Session>(restoreSession());

function restoreSession(): Session {
  const stored = readStorage<StoredSession>(() => localStorage, SESSION);
  return stored === null ? { status: "out" } : { status: "in", user: stored.user };
}

channel?.addEventListener("message", ({ data }: MessageEvent<TabMessage>) => {
  if (data.kind === "tokens") {
    acceptToken(data.access, data.user);
  } else if (data.kind === "gone") {
    closeSession(data.over);
  } else if (data.kind === "ask" && access !== null) {
    const now = session.get();
    if (now.status === "in") postToTabs({ kind: "answer", access, user: now.user });
  }
});

/** Starts the session that a sign-in, a registration or a renewal has returned. */
export function signIn(reply: SignedInReply): void {
  writeStorage(() => localStorage, SESSION, {
    refreshToken: reply.refreshToken,
    user: reply.user,
  } satisfies StoredSession);
  acceptToken(reply.accessToken, reply.user);
  postToTabs({ kind: "tokens", access: reply.accessToken, user: reply.user });
}

/** Starts the visit of a guest who has given a code. */
export function beginVisit(reply: components["schemas"]["GuestReply"]): void {
  writeStorage(() => localStorage, SESSION, { refreshToken: null, user: reply.user } satisfies StoredSession);
  acceptToken(reply.accessToken, reply.user);
  postToTabs({ kind: "tokens", access: reply.accessToken, user: reply.user });
}

/** Whether the buyer has no account. A guest has the address in place of a username, and no username has an `@`. */
export function isGuest(user: User): boolean {
  return user.username.includes("@");
}

/** The user who is signed in. */
export function useUser(): User | null {
  const current = useStore(session);
  return current.status === "in" ? current.user : null;
}

/** Ends the session in all tabs, and on the server if it can be reached. */
export async function signOut(): Promise<void> {
  const token = access;
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  forgetSession();
  if (token !== null) await fetch(atApi("/api/v1/auth/logout"), { method: "POST", headers }).catch(() => {});
}

/** Ends the session in all tabs, after the server has ended it. */
export function forgetSession(): void {
  closeSession(false);
  writeStorage(() => localStorage, SESSION, null);
  postToTabs({ kind: "gone", over: false });
}

/** Hides the notice that the session has ended. */
export function dismissSessionEnd(): void {
  if (session.get().status === "over") session.set({ status: "out" });
}

/** The access token of the session; null without a session. */
export async function accessToken(): Promise<string | null> {
  if (session.get().status !== "in") return null;
  if (access === null) await requestTokenFromTabs(null, TOKEN_WAIT_MS);
  return access ?? renewToken(null);
}

/** Replaces the access token `stale`, which the server has refused. */
export function renewToken(stale: string | null): Promise<string> {
  if (access !== null && access !== stale) return Promise.resolve(access);
  renewal ??= withLock(() => exchangeRefreshToken(stale)).finally(() => {
    renewal = null;
  });
  return renewal;
}

async function exchangeRefreshToken(stale: string | null): Promise<string> {
  // Another tab may have renewed the token while this one waited for the lock.
  await requestTokenFromTabs(stale, RENEWAL_WAIT_MS);
  if (access !== null && access !== stale) return access;
  for (;;) {
    const stored = readStorage<StoredSession>(() => localStorage, SESSION);
    if (stored === null || stored.refreshToken === null) {
      writeStorage(() => localStorage, SESSION, null);
      closeSession(true);
      postToTabs({ kind: "gone", over: true });
      throw new SessionEndedError();
    }
    const response = await fetch(atApi("/api/v1/auth/refresh"), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ refreshToken: stored.refreshToken }),
      signal: AbortSignal.timeout(15_000),
    }).catch((error: unknown) => {
      throw new NetworkError(error);
    });
    if (response.ok) {
      const reply = (await response.json()) as SignedInReply;
      signIn(reply);
      return reply.accessToken;
    }
    if (response.status !== 401) throw new ApiError(response, await response.json().catch(() => ({})));
    // Without locks another tab may have used the refresh token in the meantime; then storage has a newer one.
    if (readStorage<StoredSession>(() => localStorage, SESSION)?.refreshToken === stored.refreshToken) {
      writeStorage(() => localStorage, SESSION, null);
      closeSession(true);
      postToTabs({ kind: "gone", over: true });
      throw new SessionEndedError();
    }
  }
}

function acceptToken(token: string, user: User): void {
  access = token;
  writeStorage(() => sessionStorage, ACCESS, token);
  const now = session.get();
  if (now.status !== "in" || now.user.id !== user.id) session.set({ status: "in", user });
}

function closeSession(over: boolean): void {
  access = null;
  writeStorage(() => sessionStorage, ACCESS, null);
  session.set({ status: over ? "over" : "out" });
}

/** Waits until any tab sends an access token other than `stale`. */
function requestTokenFromTabs(stale: string | null, timeoutMs: number): Promise<void> {
  const has = () => access !== null && access !== stale;
  if (channel === null || has()) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      channel.removeEventListener("message", receive);
      resolve();
    };
    const receive = ({ data }: MessageEvent<TabMessage>) => {
      if (data.kind === "answer" && data.access !== stale) acceptToken(data.access, data.user);
      if (has()) done();
    };
    const timer = setTimeout(done, timeoutMs);
    channel.addEventListener("message", receive);
    postToTabs({ kind: "ask" });
  });
}

function postToTabs(message: TabMessage): void {
  channel?.postMessage(message);
}

/** Web Locks are missing on pages without TLS. There each tab alone runs one renewal at a time. */
function withLock<T>(act: () => Promise<T>): Promise<T> {
  return navigator.locks ? (navigator.locks.request(LOCK, act) as Promise<T>) : act();
}

function readStorage<T>(storage: () => Storage, name: string): T | null {
  try {
    return JSON.parse(storage().getItem(name) ?? "null") as T | null;
  } catch {
    return null;
  }
}

function writeStorage(storage: () => Storage, name: string, value: unknown): void {
  try {
    if (value === null) storage().removeItem(name);
    else storage().setItem(name, JSON.stringify(value));
  } catch {
    // Storage is forbidden: the session lasts until the page is closed.
  }
}
