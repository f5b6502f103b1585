// The sale or the order that the current page is about. The bar does not lead to the page that is open.

import { useEffect } from "react";
import { Store } from "./store";

export const shownActivity = new Store<string | null>(null);

export function useShownActivity(id: string | undefined): void {
  useEffect(() => {
    if (id === undefined) return;
    shownActivity.set(id);
    return () => shownActivity.set(null);
  }, [id]);
}
