// A mutation with an idempotency key. Repeated clicks, retries, reloads and other tabs send the same key, so the server runs the
// operation once.

import type { UseMutationOptions } from "@tanstack/react-query";
import { useState } from "react";
import { idempotencyKeys } from "./idempotencyKeys";
import { useSubmitOnce } from "./useSubmitOnce";

interface SubmitOptions<T, V> extends Omit<UseMutationOptions<T, Error, V>, "mutationFn"> {
  /** Names what the key stands for. With the submitted values it has everything that makes it another operation. */
  operation: string;
  send: (key: string, values: V) => Promise<T>;
  tries?: number;
}

export function useSubmitWithKey<T, V = void>({
  operation,
  send,
  tries = 5,
  ...options
}: SubmitOptions<T, V>) {
  const [isRetrying, setRetrying] = useState(false);
  const action = useSubmitOnce<T, V>({
    ...options,
    mutationFn: (values) => {
      const name = values === undefined ? operation : `${operation}:${JSON.stringify(values)}`;
      const retries = { tries, onRetry: () => setRetrying(true) };
      return idempotencyKeys
        .submit(name, (key) => send(key, values), retries)
        .finally(() => setRetrying(false));
    },
  });
  return { ...action, isRetrying };
}
