// A mutation with an idempotency key. Repeated clicks, retries, reloads and other tabs send the same key, so the server runs the
// operation once.

import type { UseMutationOptions } from "@tanstack/react-query";
import { useState } from "react";
import { idempotencyKeys } from "./idempotencyKeys";
import { retryTransient } from "./retry";
import { useSubmitOnce } from "./useSubmitOnce";

interface SubmitOptions<T> extends Omit<UseMutationOptions<T, Error, void>, "mutationFn"> {
  /** Names what the key stands for, with everything that makes it another operation. */
  operation: string;
  send: (key: string) => Promise<T>;
  tries?: number;
}

export function useSubmitWithKey<T>({ operation, send, tries = 5, ...options }: SubmitOptions<T>) {
  const [isRetrying, setRetrying] = useState(false);
  const action = useSubmitOnce<T>({
    ...options,
    mutationFn: async () => {
      const key = idempotencyKeys.keyFor(operation);
      try {
        const reply = await retryTransient(() => send(key), { tries, onRetry: () => setRetrying(true) });
        idempotencyKeys.release(operation);
        return reply;
      } finally {
        setRetrying(false);
      }
    },
  });
  return { ...action, isRetrying };
}
