// The page that a buyer returns to after signing in: always a page of this shop, never another site.

export function returnPath(search: string): string {
  const to = new URLSearchParams(search).get("to") ?? "/";
  const isOurs = /^\/(?![/\\])/.test(to) && !/^\/(sign-in|register|guest)\b/.test(to);
  return isOurs ? to : "/";
}
