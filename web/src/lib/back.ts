// Where signing in leads back to: a page of this shop, never another site.

export function wayBack(search: string): string {
  const to = new URLSearchParams(search).get("to") ?? "/";
  const isOurs = /^\/(?![/\\])/.test(to) && !/^\/(sign-in|register)\b/.test(to);
  return isOurs ? to : "/";
}
