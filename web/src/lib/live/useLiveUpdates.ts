// Opens the socket while a page wants live updates. The socket is a script of its own, loaded after the first render; until it is
// connected, the pages poll.

import { useEffect } from "react";
import { liveState } from "./liveState";

/** The socket stays open this long without a page, so that it survives the change from one page to the next. */
const LINGER_MS = 3_000;
/** When the script of the socket fails to load, the next try is after this time. */
const RETRY_MS = 30_000;

interface Socket {
  watchSales(sales: readonly string[] | null): void;
}

let pageCount = 0;
const watched = new Map<string, number>();
let socket: Socket | null = null;
let isLoading = false;
let lingerTimer: ReturnType<typeof setTimeout> | undefined;

/** Subscribes the page to updates of the buyer's own state, and of one sale, while they are wanted. */
export function useLiveUpdates(saleId?: string, isWanted = true): void {
  useEffect(() => {
    if (!isWanted) return;
    pageCount += 1;
    if (saleId) watched.set(saleId, (watched.get(saleId) ?? 0) + 1);
    updateSocket();
    return () => {
      pageCount -= 1;
      const others = saleId ? (watched.get(saleId) ?? 1) - 1 : 0;
      if (saleId && others > 0) watched.set(saleId, others);
      else if (saleId) watched.delete(saleId);
      updateSocket();
    };
  }, [saleId, isWanted]);
}

function updateSocket(): void {
  clearTimeout(lingerTimer);
  if (pageCount > 0) {
    if (socket) socket.watchSales([...watched.keys()]);
    else loadSocket();
  } else if (socket) {
    lingerTimer = setTimeout(() => socket?.watchSales(null), LINGER_MS);
  }
}

function loadSocket(): void {
  if (isLoading) return;
  isLoading = true;
  liveState.set("joining");
  whenIdle(() => {
    import("./socket")
      .then(({ createSocket }) => {
        socket = createSocket();
        updateSocket();
      })
      .catch(() => {
        isLoading = false;
        setTimeout(updateSocket, RETRY_MS);
      });
  });
}

function whenIdle(act: () => void): void {
  if (typeof requestIdleCallback === "undefined") setTimeout(act, 200);
  else requestIdleCallback(act, { timeout: 2_000 });
}
