// The server's time as React state. Components receive `now` as a prop and never read a clock.

import { useEffect, useState } from "react";
import { serverNow } from "./clock";

/** The server's time, updated on each full second, so that all countdowns of a page change together. */
export function useServerNow(): number {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const tick = () => {
      const at = serverNow();
      setNow(at);
      timer = setTimeout(tick, 1_010 - (at % 1_000));
    };
    tick();
    return () => clearTimeout(timer);
  }, []);
  return now;
}

/** Calls `act` once, `graceMs` after the server's clock reaches a moment. */
export function useCallAt(momentMs: number | null, act: () => void, graceMs = 30): void {
  useEffect(() => {
    if (momentMs === null) return;
    const leftMs = momentMs - serverNow();
    // Browsers overflow on longer timers. A page that stays open for weeks polls before the moment comes.
    if (leftMs <= 0 || leftMs > 2_000_000_000) return;
    const timer = setTimeout(act, leftMs + graceMs);
    return () => clearTimeout(timer);
  }, [momentMs, act, graceMs]);
}
