// Something that a buyer does by pressing a button. Until it is done, pressing again does nothing: also not the second click
// of a double click, which comes before the page has been drawn anew.

import { type UseMutationOptions, useMutation } from "@tanstack/react-query";
import { useRef } from "react";

export function useDeed<T, V = void>(options: UseMutationOptions<T, Error, V>) {
  const isUnderWay = useRef(false);
  const { mutateAsync, isPending, error } = useMutation(options);
  const press = (values: V): void => {
    if (isUnderWay.current) return;
    isUnderWay.current = true;
    mutateAsync(values)
      // The page shows `error`.
      .catch(() => {})
      .finally(() => {
        isUnderWay.current = false;
      });
  };
  return { press, isPending, error };
}
