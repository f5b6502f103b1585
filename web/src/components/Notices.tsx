// Boxes with a notice or an error.

import type { ReactNode } from "react";
import { describeError } from "../lib/errorText";
import { t } from "../lib/i18n";

export function Notice({ children, urgent = false }: { children: ReactNode; urgent?: boolean }) {
  return (
    <div
      role={urgent ? "alert" : "note"}
      className="rounded-lg border-s-4 border-mark bg-warn px-4 py-3 text-ink [overflow-wrap:anywhere]"
    >
      {children}
    </div>
  );
}

/** Explains an error; renders nothing without one. */
export function ErrorNotice({ error }: { error: unknown }) {
  if (error === null || error === undefined) return null;
  const { key, values } = describeError(error);
  return <Notice urgent>{t(key, values)}</Notice>;
}

/** Says that a request is sent again, because no final reply came yet. */
export function RetryStatus({ isRetrying, text }: { isRetrying: boolean; text?: string }) {
  return (
    <p role="status" className={isRetrying ? "" : "sr-only"}>
      {isRetrying && (text ?? t("error.retrying"))}
    </p>
  );
}

/** Replaces a page whose data failed to load. */
export function LoadError({ error, onRetry }: { error: unknown; onRetry: () => unknown }) {
  return (
    <div className="mx-auto grid max-w-xl justify-items-start gap-4 py-10">
      <h1 className="text-3xl">{t("error.title")}</h1>
      <ErrorNotice error={error} />
      <button type="button" className="button button-main" onClick={() => void onRetry()}>
        {t("error.retry")}
      </button>
    </div>
  );
}
