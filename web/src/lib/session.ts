// Who is signed in, in all tabs of this browser. The refresh token, which works once, is in `localStorage` and is used under
// a lock; the access token is handed from tab to tab. A tab keeps it over a reload, because a renewal for each reload would
// use up the limit of everyone behind one address. No clock is asked: a token is good until the server says that it is not.

import type { components } from "../api/schema";
import { Refused, SessionOver, Unreachable } from "./problem";
import { Store } from "./store";

type SignedIn = components["schemas"]["SignedInReply"];
export type User = components["schemas"]["AccountReply"];

export type Session = { status: "out" } | { status: "in"; user: User } | { status: "over" };

const SESSION = "doorbuster.session";
const ACCESS = "doorbuster.access";
const LOCK = "doorbuster.renew";
/** How long another tab has to hand its token over to one that has none. */
const ASK_MS = 150;
/**
 * And to one that is about to renew. The lock comes to the next tab before the news of the last renewal may have come, by message
 * or by storage; a refresh token that is used twice would end the session.
 */
const ASK_BEFORE_RENEWAL_MS = 600;

interface Kept {
  refreshToken: string;
  user: User;
}

type News =
  /** All tabs take a new token; the answer to a question may be an old one, and is for those who ask. */
  | { kind: "tokens" | "answer"; access: string; user: User }
  | { kind: "ask" }
  | { kind: "gone"; over: boolean };

let access: string | null = read<string>(() => sessionStorage, ACCESS);
const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("doorbuster");
let renewal: Promise<string> | null = null;

export const session = new Store<Session>(start());

function start(): Session {
  const kept = read<Kept>(() => localStorage, SESSION);
  return kept === null ? { status: "out" } : { status: "in", user: kept.user };
}

channel?.addEventListener("message", ({ data }: MessageEvent<News>) => {
  if (data.kind === "tokens") {
    accept(data.access, data.user);
  } else if (data.kind === "gone") {
    forget(data.over);
  } else if (data.kind === "ask" && access !== null) {
    const now = session.get();
    if (now.status === "in") tell({ kind: "answer", access, user: now.user });
  }
});

/** Someone signed in or registered. */
export function signIn(reply: SignedIn): void {
  write(() => localStorage, SESSION, { refreshToken: reply.refreshToken, user: reply.user } satisfies Kept);
  accept(reply.accessToken, reply.user);
  tell({ kind: "tokens", access: reply.accessToken, user: reply.user });
}

/** Ends the session here and in all tabs; the server is told, if it can be. */
export async function signOut(): Promise<void> {
  const token = access;
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  forget(false);
  write(() => localStorage, SESSION, null);
  tell({ kind: "gone", over: false });
  if (token !== null) await fetch("/api/v1/auth/logout", { method: "POST", headers }).catch(() => {});
}

/** The buyer has read that the session is over. */
export function acknowledgeEnd(): void {
  if (session.get().status === "over") session.set({ status: "out" });
}

/** The access token to send along; null for those who only look. */
export async function accessToken(): Promise<string | null> {
  if (session.get().status !== "in") return null;
  if (access === null) await askOtherTabs(null, ASK_MS);
  return access ?? renew(null);
}

/** A new access token in place of `stale`, which the server no longer takes. */
export function renew(stale: string | null): Promise<string> {
  if (access !== null && access !== stale) return Promise.resolve(access);
  renewal ??= locked(() => exchange(stale)).finally(() => {
    renewal = null;
  });
  return renewal;
}

async function exchange(stale: string | null): Promise<string> {
  // Another tab may have been first while this one waited for the lock.
  await askOtherTabs(stale, ASK_BEFORE_RENEWAL_MS);
  if (access !== null && access !== stale) return access;
  for (;;) {
    const kept = read<Kept>(() => localStorage, SESSION);
    if (kept === null) {
      forget(true);
      throw new SessionOver();
    }
    const response = await fetch("/api/v1/auth/refresh", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ refreshToken: kept.refreshToken }),
      signal: AbortSignal.timeout(15_000),
    }).catch((error: unknown) => {
      throw new Unreachable(error);
    });
    if (response.ok) {
      const reply = (await response.json()) as SignedIn;
      signIn(reply);
      return reply.accessToken;
    }
    if (response.status !== 401) throw new Refused(response, await response.json().catch(() => ({})));
    // Without locks another tab may have used the token in the meantime: then there is a newer one.
    if (read<Kept>(() => localStorage, SESSION)?.refreshToken === kept.refreshToken) {
      write(() => localStorage, SESSION, null);
      forget(true);
      tell({ kind: "gone", over: true });
      throw new SessionOver();
    }
  }
}

function accept(token: string, user: User): void {
  access = token;
  write(() => sessionStorage, ACCESS, token);
  const now = session.get();
  if (now.status !== "in" || now.user.id !== user.id) session.set({ status: "in", user });
}

function forget(over: boolean): void {
  access = null;
  write(() => sessionStorage, ACCESS, null);
  session.set({ status: over ? "over" : "out" });
}

/** Waits for a token that is not this one, from any tab that has it. */
function askOtherTabs(stale: string | null, patienceMs: number): Promise<void> {
  const has = () => access !== null && access !== stale;
  if (channel === null || has()) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      channel.removeEventListener("message", hear);
      resolve();
    };
    const hear = ({ data }: MessageEvent<News>) => {
      if (data.kind === "answer" && data.access !== stale) accept(data.access, data.user);
      if (has()) done();
    };
    const timer = setTimeout(done, patienceMs);
    channel.addEventListener("message", hear);
    tell({ kind: "ask" });
  });
}

function tell(news: News): void {
  channel?.postMessage(news);
}

/** Web Locks are missing on pages without TLS; then one renewal at a time in each tab has to do. */
function locked<T>(act: () => Promise<T>): Promise<T> {
  return navigator.locks ? (navigator.locks.request(LOCK, act) as Promise<T>) : act();
}

function read<T>(storage: () => Storage, name: string): T | null {
  try {
    return JSON.parse(storage().getItem(name) ?? "null") as T | null;
  } catch {
    return null;
  }
}

function write(storage: () => Storage, name: string, value: unknown): void {
  try {
    if (value === null) storage().removeItem(name);
    else storage().setItem(name, JSON.stringify(value));
  } catch {
    // Without storage the session lasts as long as the page.
  }
}
