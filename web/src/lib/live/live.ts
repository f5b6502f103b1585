// Live updates: which pages want them, and how they come. The socket and all that belongs to it are loaded apart, once the page
// has been drawn: nobody waits for them, and without them the pages ask by themselves.

import { useEffect } from "react";
import { link } from "../link";
import { Store, useStore } from "../store";

/**
 * - `off`: no page wants it.
 * - `joining`: not connected, or not for long enough to be relied on.
 * - `steady`: what happens is told, so asking is a safety net.
 * - `full`: the server has no place for one more socket of this buyer, or of this address.
 */
export type Live = "off" | "joining" | "steady" | "full";

export const live = new Store<Live>("off");

/** From one page to the next the socket stays. */
const LINGER_MS = 3_000;
/** Where the script could not be had. */
const RETRY_MS = 30_000;

interface Socket {
  want(sales: readonly string[] | null): void;
}

let pages = 0;
const wanted = new Map<string, number>();
let socket: Socket | null = null;
let isLoading = false;
let lingering: ReturnType<typeof setTimeout> | undefined;

/** This page wants to hear what happens to the buyer, and to a sale. */
export function useLive(saleId?: string): void {
  useEffect(() => {
    pages += 1;
    if (saleId) wanted.set(saleId, (wanted.get(saleId) ?? 0) + 1);
    settle();
    return () => {
      pages -= 1;
      const others = saleId ? (wanted.get(saleId) ?? 1) - 1 : 0;
      if (saleId && others > 0) wanted.set(saleId, others);
      else if (saleId) wanted.delete(saleId);
      settle();
    };
  }, [saleId]);
}

/** Whether news come by themselves. When requests do not get through, nobody believes that the socket is well. */
export function useIsLive(): boolean {
  const state = useStore(live);
  const way = useStore(link);
  return state === "steady" && (way === "good" || way === "slow");
}

function settle(): void {
  clearTimeout(lingering);
  if (pages > 0) {
    if (socket) socket.want([...wanted.keys()]);
    else load();
  } else if (socket) {
    lingering = setTimeout(() => socket?.want(null), LINGER_MS);
  }
}

function load(): void {
  if (isLoading) return;
  isLoading = true;
  live.set("joining");
  whenIdle(() => {
    import("./socket")
      .then(({ open }) => {
        socket = open();
        settle();
      })
      .catch(() => {
        isLoading = false;
        setTimeout(settle, RETRY_MS);
      });
  });
}

function whenIdle(act: () => void): void {
  if (typeof requestIdleCallback === "undefined") setTimeout(act, 200);
  else requestIdleCallback(act, { timeout: 2_000 });
}
