// The token of a link from a mail. It stands behind the `#`, which browsers send to no server, and stays there: the page is drawn anew
// when the language changes.

import { useState } from "react";

export function useMailedToken(): string | null {
  const [token] = useState(() => readMailedToken(window.location.hash));
  return token;
}

export function readMailedToken(hash: string): string | null {
  const token = new URLSearchParams(hash.replace(/^#/, "")).get("token");
  return token === null || token === "" ? null : token;
}
