// How the line to the server is: what the banner on top of every page tells.

import { Store } from "./store";

export type Link = "good" | "slow" | "lost" | "offline";

/** A request that takes longer than this is worth a word. */
const SLOW_MS = 4_000;

export const link = new Store<Link>("good");

globalThis.addEventListener?.("offline", () => link.set("offline"));
globalThis.addEventListener?.("online", () => link.set("lost"));

/** Watches one request. */
export async function watched<T>(request: Promise<T>): Promise<T> {
  const timer = setTimeout(() => {
    if (link.get() === "good") link.set("slow");
  }, SLOW_MS);
  try {
    const reply = await request;
    link.set("good");
    return reply;
  } catch (error) {
    link.set(navigator.onLine ? "lost" : "offline");
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
