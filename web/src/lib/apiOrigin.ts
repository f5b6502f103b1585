// Where the API is: the origin of the pages, unless they were built with `VITE_API_URL` for another one. Every request and the socket
// begin here, and so does the content policy of such a build.

/** The origin in a setting; `null` without one. Anything but an origin is an error: a path would be lost. */
export function parseApiUrl(setting: string | undefined): string | null {
  if (setting === undefined || setting.trim() === "") return null;
  const url = URL.canParse(setting.trim()) ? new URL(setting.trim()) : null;
  const isOrigin =
    url !== null && ["http:", "https:"].includes(url.protocol) && url.href === `${url.origin}/`;
  if (!isOrigin)
    throw new Error("VITE_API_URL is an origin such as https://api.shop.example, without a path");
  return url.origin;
}

/**
 * The content policy of pages that are served without Doorbuster: as the server's own (crates/server/src/http/web.rs), and requests
 * and sockets go to the API. What only a header can say (`frame-ancestors`) is left to the server of the pages.
 */
export function contentPolicy(apiOrigin: string): string {
  const socketOrigin = apiOrigin.replace(/^http/, "ws");
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `img-src 'self' data: https: ${apiOrigin}`,
    "font-src 'self'",
    `connect-src ${apiOrigin} ${socketOrigin}`,
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/** The origin of the API for these pages. */
export function apiOrigin(): string {
  return parseApiUrl(import.meta.env.VITE_API_URL) ?? location.origin;
}

/** A path of the API's site as an address; any other address stays. */
export function atApi(url: string): string {
  return url.startsWith("/") && import.meta.env.VITE_API_URL ? `${apiOrigin()}${url}` : url;
}
