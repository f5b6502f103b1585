// A countdown. It changes each second on screen; screen readers announce it a few times only.

import { locale, type TextKey, t } from "../lib/i18n";
import { announcedSeconds, formatCountdown, formatRoughDuration } from "../lib/time";

interface Props {
  now: number;
  untilMs: number;
  label: TextKey;
  className?: string;
}

export function Countdown({ now, untilMs, label, className = "text-5xl" }: Props) {
  const leftMs = Math.max(0, untilMs - now);
  const leftS = Math.ceil(leftMs / 1000);
  // The text changes only at a mark, so screen readers announce it only then.
  const mark = announcedSeconds(leftMs);
  const announced = mark === null ? "" : t("timer.left", { time: formatRoughDuration(mark, locale()) });
  return (
    <div>
      <p className="text-sm text-soft">{t(label)}</p>
      <p
        role="timer"
        aria-live="off"
        className={`figure mt-1 ${className} ${leftS <= 30 ? "text-mark" : ""}`}
      >
        {formatCountdown(leftMs, locale())}
      </p>
      <p className="sr-only" role="status">
        {announced}
      </p>
    </div>
  );
}
