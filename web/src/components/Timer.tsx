// A time that runs out: each second for the eye, and a few times for those who listen.

import { language, type TextKey, t } from "../lib/i18n";
import { clockFace, roughlyIn, saidLeft } from "../lib/time";

interface Props {
  now: number;
  untilMs: number;
  label: TextKey;
  className?: string;
}

export function Timer({ now, untilMs, label, className = "text-5xl" }: Props) {
  const leftMs = Math.max(0, untilMs - now);
  const leftS = Math.ceil(leftMs / 1000);
  // Changes only when a mark is passed, so it is read out only then.
  const mark = saidLeft(leftMs);
  const said = mark === null ? "" : t("timer.left", { time: roughlyIn(mark, language()) });
  return (
    <div>
      <p className="text-sm text-soft">{t(label)}</p>
      <p
        role="timer"
        aria-live="off"
        className={`figure mt-1 ${className} ${leftS <= 30 ? "text-mark" : ""}`}
      >
        {clockFace(leftMs, language())}
      </p>
      <p className="sr-only" role="status">
        {said}
      </p>
    </div>
  );
}
