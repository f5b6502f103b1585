// The state of the connection to the server, which the banner on top of every page shows.

import { Store } from "./store";

export type ConnectionState = "good" | "slow" | "lost" | "offline";

/** The banner reports a slow connection when a request takes longer than this. */
const SLOW_MS = 4_000;

export const connection = new Store<ConnectionState>("good");

globalThis.addEventListener?.("offline", () => connection.set("offline"));
globalThis.addEventListener?.("online", () => connection.set("lost"));

/** Updates `connection` by the outcome of one request. */
export async function trackConnection<T>(request: Promise<T>): Promise<T> {
  const timer = setTimeout(() => {
    if (connection.get() === "good") connection.set("slow");
  }, SLOW_MS);
  try {
    const reply = await request;
    connection.set("good");
    return reply;
  } catch (error) {
    connection.set(navigator.onLine ? "lost" : "offline");
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
