// A buyer who comes back from the bank's page before the shop has the bank's answer. For some seconds the page waits for it, so that it
// does not offer to pay again what is paid already. The server asks the bank meanwhile.

import { useEffect, useState } from "react";
import { useLocation, useSearch } from "wouter";

/** Longer than the bank needs. Then the buyer has left its page without paying. */
const WAIT_MS = 10_000;

export function useBankReturn(): boolean {
  const [path, navigate] = useLocation();
  const isReturn = new URLSearchParams(useSearch()).has("asking");
  const [isWaiting, setWaiting] = useState(isReturn);
  useEffect(() => {
    if (!isReturn) return;
    setWaiting(true);
    // A reload later on is no return.
    navigate(path, { replace: true });
  }, [isReturn, navigate, path]);
  useEffect(() => {
    if (!isWaiting) return;
    const timer = setTimeout(() => setWaiting(false), WAIT_MS);
    return () => clearTimeout(timer);
  }, [isWaiting]);
  return isWaiting;
}
