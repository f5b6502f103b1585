// A countdown. It changes each second on screen; screen readers announce it a few times only. While the server's time is unknown it
// shows no figure.

import { locale, type TextKey, t } from "../lib/i18n";
import { announcedSeconds, countdownParts, formatRoughDuration } from "../lib/time";

interface Props {
  /** The server's time; `null` while it is unknown. */
  now: number | null;
  untilMs: number;
  label: TextKey;
  size?: "large" | "huge";
}

/** In one place, so that a new figure never moves the page. */
const NO_FIGURE = "–";
/** No wider than the container allows: large text must not be cut off. Days need more room than digits. */
const SIZES = {
  large: "text-[min(3rem,24cqi)]",
  huge: "text-[min(3.75rem,24cqi)]",
  days: "text-[min(2.25rem,14cqi)]",
};

export function Countdown({ now, untilMs, label, size = "large" }: Props) {
  return <Timer leftMs={now === null ? null : Math.max(0, untilMs - now)} label={label} size={size} />;
}

/** A countdown that stands still, while the sale is paused. */
export function FrozenCountdown({ leftMs, label }: { leftMs: number; label: TextKey }) {
  return <Timer leftMs={leftMs} label={label} size="large" isFrozen />;
}

interface TimerProps {
  leftMs: number | null;
  label: TextKey;
  size: "large" | "huge";
  isFrozen?: boolean;
}

function Timer({ leftMs, label, size, isFrozen = false }: TimerProps) {
  // The text changes only at a mark, so screen readers announce it only then.
  const mark = leftMs === null || isFrozen ? null : announcedSeconds(leftMs);
  const announced = mark === null ? "" : t("timer.left", { time: formatRoughDuration(mark, locale()) });
  const isShort = leftMs !== null && leftMs <= 30_000 && !isFrozen;
  const parts = leftMs === null ? [] : countdownParts(leftMs, locale());
  const color = isFrozen ? "text-soft" : isShort ? "text-mark" : "";
  return (
    <div className="@container">
      <p className="text-sm text-soft">{t(label)}</p>
      <p
        role="timer"
        aria-live="off"
        data-frozen={isFrozen || undefined}
        className={`figure mt-1 flex flex-wrap gap-x-[0.3em] ${SIZES[parts.length > 1 ? "days" : size]} ${color}`}
      >
        {leftMs === null
          ? NO_FIGURE
          : parts.map((part, index) => (
              <span key={part} className="whitespace-nowrap">
                {part}
                {index + 1 < parts.length && " "}
              </span>
            ))}
      </p>
      <p className="sr-only" role="status">
        {announced}
      </p>
    </div>
  );
}
