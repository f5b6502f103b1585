// Reads the feeds of the lines in which the buyer waits, once a second each, and moves the places in the query cache. What only the
// buyer may know, the turn and how a place ended, it does not decide: it makes the place fetch again once the feed says that it has
// come to that. A script of its own, loaded when the buyer waits.

import type { QueryClient } from "@tanstack/react-query";
import type { Place } from "../api";
import { apiOrigin } from "../apiOrigin";
import { serverNow } from "../clock";
import { computePlace, type LineFeed } from "../lineFeed";
import { queryKeys } from "../queryKeys";
import { feedState } from "./feedState";
import { mergePlace } from "./freshness";

const INTERVAL_MS = 1_000;
/** The longest pause after requests that failed. */
const RETRY_MS_MAX = 20_000;
/** Between two fetches of a place that the feed has no more. */
const FETCH_MS = 3_000;
const TIMEOUT_MS = 10_000;

export class FeedWatcher {
  readonly #queries: QueryClient;
  readonly #lines = new Map<string, WatchedLine>();

  constructor(queries: QueryClient) {
    this.#queries = queries;
    document.addEventListener("visibilitychange", () => this.#resume());
  }

  /** Watches the lines of these sales, and no others. */
  watch(saleIds: readonly string[]): void {
    for (const [saleId, line] of this.#lines) {
      if (saleIds.includes(saleId)) continue;
      line.stop();
      this.#lines.delete(saleId);
    }
    for (const saleId of saleIds) {
      if (!this.#lines.has(saleId)) this.#lines.set(saleId, new WatchedLine(this.#queries, saleId));
    }
  }

  #resume(): void {
    for (const line of this.#lines.values()) line.resume();
  }
}

class WatchedLine {
  readonly #queries: QueryClient;
  readonly #saleId: string;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;
  #isReading = false;
  #failures = 0;
  #version = 0;
  #fetchedMs = Number.NEGATIVE_INFINITY;

  constructor(queries: QueryClient, saleId: string) {
    this.#queries = queries;
    this.#saleId = saleId;
    this.resume();
  }

  /** Goes on once the tab is shown: a hidden one shows no place. */
  resume(): void {
    if (!this.#isStopped && !this.#isReading && !document.hidden) void this.#read();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async #read(): Promise<void> {
    clearTimeout(this.#timer);
    this.#isReading = true;
    try {
      const feed = await this.#fetch();
      this.#failures = 0;
      feedState.markRead(this.#saleId);
      if (!this.#isStopped) this.#apply(feed);
    } catch {
      // The place is polled meanwhile.
      this.#failures += 1;
    }
    this.#isReading = false;
    if (this.#isStopped || document.hidden) return;
    const pauseMs = Math.min(INTERVAL_MS * 2 ** this.#failures, RETRY_MS_MAX);
    this.#timer = setTimeout(() => void this.#read(), pauseMs * (0.9 + 0.2 * Math.random()));
  }

  /** Without a token: a cache on the way may serve it to everyone. */
  async #fetch(): Promise<LineFeed> {
    const url = `${apiOrigin()}/api/v1/flash-sales/${this.#saleId}/line-feed`;
    const reply = await fetch(url, { credentials: "omit", signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!reply.ok) throw new Error(`the feed: ${reply.status}`);
    return reply.json();
  }

  #apply(feed: LineFeed): void {
    // Two caches may be at different versions.
    if (feed.version < this.#version) return;
    this.#version = feed.version;
    const key = queryKeys.place(this.#saleId);
    const cached = this.#queries.getQueryData<Place | null>(key);
    const now = serverNow();
    if (cached?.status !== "waiting" || now === null) return;
    // The feed may be older than the ticket.
    if (feed.line && cached.ticket > feed.line.lastTicket) return;
    const place = computePlace(feed, cached.ticket, now);
    if (place === null) {
      this.#fetchPlace();
      return;
    }
    const moved = mergePlace(cached, {
      ...cached,
      ...place,
      ahead: place.position - 1,
      unitsLeft: feed.unitsLeft,
      availability: feed.availability,
    });
    // Each write renders every component that shows the place.
    if (moved !== null && isChanged(cached, moved)) this.#queries.setQueryData(key, moved);
  }

  #fetchPlace(): void {
    const at = performance.now();
    if (at - this.#fetchedMs < FETCH_MS) return;
    this.#fetchedMs = at;
    void this.#queries.invalidateQueries({ queryKey: queryKeys.place(this.#saleId) });
  }
}

const SHOWN = ["position", "estimatedWaitSeconds", "unitsLeft", "availability"] as const;

function isChanged(before: Place, after: Place): boolean {
  return SHOWN.some((field) => before[field] !== after[field]);
}
