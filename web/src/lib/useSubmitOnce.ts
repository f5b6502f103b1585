// A mutation that a button or a form submits. While one submission is pending, `submit` does nothing, so a double click sends one
// request: `isPending` alone is too late for that, because React renders it after the second click.

import { type UseMutationOptions, useMutation } from "@tanstack/react-query";
import { useRef } from "react";

export function useSubmitOnce<T, V = void>(options: UseMutationOptions<T, Error, V>) {
  const isSubmitting = useRef(false);
  const { mutateAsync, isPending, error } = useMutation(options);
  const submit = (values: V): void => {
    if (isSubmitting.current) return;
    isSubmitting.current = true;
    mutateAsync(values)
      // The page shows `error`.
      .catch(() => {})
      .finally(() => {
        isSubmitting.current = false;
      });
  };
  return { submit, isPending, error };
}
