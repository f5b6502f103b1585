// The title of the tab, which is all that a buyer sees of it while doing something else.

import { useEffect } from "react";

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === "" ? "Doorbuster" : `${title} · Doorbuster`;
  }, [title]);
}
