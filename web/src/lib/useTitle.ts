// The title of the tab: the only part of the page that a buyer sees while another tab is open. A page sets its name; what is urgent for
// the buyer, such as a turn, comes before it on every page.

import { useEffect } from "react";

let page = "";
let prefix = "";

/** `● Your turn · Lamp · Doorbuster`. Pure. */
export function composeTitle(prefix: string, page: string): string {
  return [prefix, page, "Doorbuster"].filter((part) => part !== "").join(" · ");
}

function update(): void {
  document.title = composeTitle(prefix, page);
}

export function useTitle(title: string): void {
  useEffect(() => {
    page = title;
    update();
  }, [title]);
}

export function useTitlePrefix(text: string): void {
  useEffect(() => {
    prefix = text;
    update();
    return () => {
      prefix = "";
      update();
    };
  }, [text]);
}
