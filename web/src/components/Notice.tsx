// A word to the buyer in a box: what went wrong or what to know, and what to do about it.

import type { ReactNode } from "react";
import { t } from "../lib/i18n";
import { wordsFor } from "../lib/refusals";

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

/** Why something did not work; nothing while there is no error. */
export function Failure({ error }: { error: unknown }) {
  if (error === null || error === undefined) return null;
  const { key, values } = wordsFor(error);
  return <Notice urgent>{t(key, values)}</Notice>;
}

/** In place of a page that could not be loaded. */
export function Unloaded({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  return (
    <div className="mx-auto grid max-w-xl justify-items-start gap-4 py-10">
      <h1 className="text-3xl">{t("error.title")}</h1>
      <Failure error={error} />
      <button type="button" className="button button-main" onClick={onRetry}>
        {t("error.retry")}
      </button>
    </div>
  );
}
