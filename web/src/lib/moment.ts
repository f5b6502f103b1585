// The server's time as React state: components get `now`, they never ask for it.

import { useEffect, useState } from "react";
import { serverNow } from "./clock";

/** The server's time, anew each second, on the second: all timers of a page change together. */
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

/** Does something once when the server's clock reaches a moment, or a while after it. */
export function useAt(momentMs: number | null, act: () => void, graceMs = 30): void {
  useEffect(() => {
    if (momentMs === null) return;
    const leftMs = momentMs - serverNow();
    // Longer timers than this overflow in browsers; a page that is open for weeks has asked again by then.
    if (leftMs <= 0 || leftMs > 2_000_000_000) return;
    const timer = setTimeout(act, leftMs + graceMs);
    return () => clearTimeout(timer);
  }, [momentMs, act, graceMs]);
}
