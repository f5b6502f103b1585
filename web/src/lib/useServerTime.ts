// The server's time as React state. Components receive `now` as a prop and never read a clock.

import { useEffect, useState } from "react";
import { clockState, serverNow } from "./clock";
import { useStore } from "./store";

/**
 * The server's time, updated on each full second, so that all countdowns of a page change together; `null` while it is unknown. The
 * device's clock is no substitute for it: a figure that jumps a second later has been wrong.
 */
export function useServerNow(): number | null {
  const isKnown = useStore(clockState) === "known";
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    if (!isKnown) return;
    let timer: ReturnType<typeof setTimeout>;
    const tick = () => {
      const at = serverNow() ?? 0;
      setNow(at);
      timer = setTimeout(tick, 1_010 - (at % 1_000));
    };
    tick();
    return () => clearTimeout(timer);
  }, [isKnown]);
  return now ?? serverNow();
}

/** Also while the server's time is unknown: for the defaults and the validation of a form, never for a figure. */
export function useApproximateNow(): number {
  return useServerNow() ?? Date.now();
}

/** Calls `act` once, `graceMs` after the server's clock reaches a moment. */
export function useCallAt(momentMs: number | null, act: () => void, graceMs = 30): void {
  const isKnown = useStore(clockState) === "known";
  useEffect(() => {
    const now = isKnown ? serverNow() : null;
    if (momentMs === null || now === null) return;
    const leftMs = momentMs - now;
    // Browsers overflow on longer timers. A page that stays open for weeks polls before the moment comes.
    if (leftMs <= 0 || leftMs > 2_000_000_000) return;
    const timer = setTimeout(act, leftMs + graceMs);
    return () => clearTimeout(timer);
  }, [momentMs, act, graceMs, isKnown]);
}
