// The bar on top of every page with what the buyer has under way: a turn, held units, a payment, a place in line. It also sets the
// beginning of the tab's title, plays the chime and shows a notification when a turn comes, and keeps the screen on while one is near.

import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useCallback, useEffect, useRef } from "react";
import { Link } from "wouter";
import { type Activity, activityKey, endMs, isTurnNear } from "../lib/activity";
import { notify, playChime, unlockChime } from "../lib/alerts";
import type { Sale } from "../lib/api";
import { locale, t } from "../lib/i18n";
import { isolateText } from "../lib/isolateText";
import { watchPlaces } from "../lib/knownPlaces";
import { useLineFeeds } from "../lib/live/useLineFeeds";
import { useLiveUpdates } from "../lib/live/useLiveUpdates";
import { useActivities } from "../lib/ownQueries";
import { queryKeys } from "../lib/queryKeys";
import { orderPayment } from "../lib/saleTerms";
import { useUser } from "../lib/session";
import { shownActivity } from "../lib/shownActivity";
import { useStore } from "../lib/store";
import { formatCountdown } from "../lib/time";
import { useSale } from "../lib/useSale";
import { useCallAt, useServerNow } from "../lib/useServerTime";
import { useTitlePrefix } from "../lib/useTitle";
import { useWakeLock } from "../lib/useWakeLock";

/** A narrow screen must keep room for the page. */
const ROWS_MAX = 3;

export function ActivityBar() {
  const queries = useQueryClient();
  const { activities, isLoaded } = useActivities();
  const shown = useStore(shownActivity);
  useEffect(() => watchPlaces(queries), [queries]);
  useLiveUpdates(undefined, activities.length > 0);
  useLineFeeds(activities.filter(({ kind }) => kind === "waiting").map(({ saleId }) => saleId));
  useReloadAtEnd(activities);
  useTitlePrefix(activities[0] === undefined ? "" : titlePrefix(activities[0]));
  useWakeLock(activities.some(isTurnNear));
  useTurnAlert(activities, isLoaded);
  useUnlockChime();
  const rows = activities.filter((activity) => !isShown(activity, shown)).slice(0, ROWS_MAX);
  if (rows.length === 0) return null;
  return (
    <nav
      aria-label={t("bar.label")}
      data-bar
      // With large text it may scroll, so that it never covers the page.
      className="no-print sticky top-0 z-20 max-h-[34dvh] overflow-y-auto border-b border-line"
    >
      <ul className="divide-y divide-line">
        {rows.map((activity) => (
          <ActivityRow key={activityKey(activity)} activity={activity} />
        ))}
      </ul>
    </nav>
  );
}

/** The page of an order is about that order, the page of a sale about everything in that sale. */
function isShown(activity: Activity, shown: string | null): boolean {
  return shown === activity.saleId || ("order" in activity && shown === activity.order.id);
}

const ROW_COLORS = {
  admitted: "bg-mark text-mark-ink",
  held: "bg-warn text-ink",
  paying: "bg-card text-ink",
  waiting: "bg-card text-ink",
};

function ActivityRow({ activity }: { activity: Activity }) {
  const { name, href } = useActivityPage(activity);
  return (
    <li data-activity={activity.kind} className={ROW_COLORS[activity.kind]}>
      <Link
        href={href}
        className="mx-auto flex max-w-6xl items-baseline gap-x-3 px-4 py-2 underline-offset-4 hover:underline focus-visible:-outline-offset-3 sm:px-8"
      >
        <span className="flex min-w-0 flex-1 flex-wrap items-baseline gap-x-3">
          <span className="font-semibold">{activityText(activity)}</span>
          <bdi className="min-w-0 truncate">{name}</bdi>
        </span>
        <span className="shrink-0 font-semibold tabular-nums">
          <ActivityTime activity={activity} />
        </span>
      </Link>
      {activity.kind === "admitted" && (
        <span role="alert" className="sr-only">
          {activityText(activity)}
        </span>
      )}
    </li>
  );
}

/** The name of what an activity is about, and the address of the page where the buyer goes on. */
export function useActivityPage(activity: Activity): { name: string; href: string } {
  const { data: sale } = useSale(activity.saleId, true);
  const sold = "order" in activity ? activity.order.product?.name : undefined;
  const href =
    "order" in activity
      ? `/orders/${activity.order.id}`
      : `/s/${encodeURIComponent(sale?.slug ?? activity.saleId)}`;
  return { name: sold ?? sale?.product.name ?? "", href };
}

export function activityText(activity: Activity): string {
  switch (activity.kind) {
    case "admitted":
      return t(activity.end.kind === "running" ? "stage.admitted" : "bar.admitted_paused");
    case "held":
      return t(orderPayment(activity.order) === "free" ? "bar.held_free" : "bar.held");
    case "paying":
      return t("stage.paying");
    case "waiting":
      return t("bar.waiting", { position: activity.place.position });
  }
}

/** The time that is left; nothing while it is unknown, and for a place without an end. */
export function ActivityTime({ activity }: { activity: Activity }): ReactNode {
  const now = useServerNow();
  if (activity.kind === "admitted" && activity.end.kind === "frozen") {
    return formatCountdown(activity.end.leftMs, locale());
  }
  const untilMs = endMs(activity);
  if (untilMs === null || now === null) return null;
  return formatCountdown(Math.max(0, untilMs - now), locale());
}

function titlePrefix(activity: Activity): string {
  switch (activity.kind) {
    case "admitted":
      return `● ${t("title.admitted")}`;
    case "held":
      return `● ${t(orderPayment(activity.order) === "free" ? "title.held_free" : "title.held")}`;
    case "paying":
      return t("title.paying");
    case "waiting":
      return t("title.waiting", { count: activity.place.ahead });
  }
}

/** Fetches the buyer's own state when the first turn or hold runs out. */
function useReloadAtEnd(activities: readonly Activity[]): void {
  const queries = useQueryClient();
  const reload = useCallback(() => void queries.invalidateQueries({ queryKey: queryKeys.own }), [queries]);
  const ends = activities.map(endMs).filter((end) => end !== null);
  useCallAt(ends.length === 0 ? null : Math.min(...ends), reload);
}

/** Tells the buyer of a new turn, but not of one that the page has found when it was opened. */
function useTurnAlert(activities: readonly Activity[], isLoaded: boolean): void {
  const queries = useQueryClient();
  const userId = useUser()?.id ?? "";
  const known = useRef<{ userId: string; keys: ReadonlySet<string> } | null>(null);
  const turns = activities.filter(({ kind }) => kind === "admitted");
  const keys = turns.map(activityKey).join(" ");
  const saleIds = turns.map(({ saleId }) => saleId).join(" ");
  useEffect(() => {
    if (!isLoaded) return;
    const before = known.current?.userId === userId ? known.current.keys : null;
    const now = keys === "" ? [] : keys.split(" ");
    known.current = { userId, keys: new Set([...(before ?? []), ...now]) };
    if (before === null) return;
    now.forEach((key, index) => {
      if (before.has(key)) return;
      playChime();
      const saleId = saleIds.split(" ")[index] ?? "";
      const cached = queries.getQueriesData<Sale>({ queryKey: queryKeys.everySale });
      const name = cached.find(([, sale]) => sale?.id === saleId)?.[1]?.product.name;
      const title = [t("stage.admitted"), ...(name ? [isolateText(name)] : [])].join(" · ");
      notify(title, t("admitted.text"), saleId);
    });
  }, [keys, saleIds, userId, isLoaded, queries]);
}

/** A browser allows sound after any touch of the page. This unlocks it also after a reload. */
function useUnlockChime(): void {
  useEffect(() => {
    const events = ["pointerdown", "keydown"] as const;
    for (const event of events) document.addEventListener(event, unlockChime, { once: true });
    return () => {
      for (const event of events) document.removeEventListener(event, unlockChime);
    };
  }, []);
}
