// Sets the title of the tab: the only part of the page that a buyer sees while another tab is open.

import { useEffect } from "react";

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === "" ? "Doorbuster" : `${title} · Doorbuster`;
  }, [title]);
}
