// Boxes with a notice or an error.

import type { ReactNode } from "react";
import { Link } from "wouter";
import { describeError } from "../lib/errorText";
import { fieldErrors, unclaimedErrors } from "../lib/formErrors";
import { t } from "../lib/i18n";
import { isNotFound } from "../lib/queryCache";
import { NotFound } from "./NotFound";

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

interface ErrorNoticeProps {
  error: unknown;
  /** Whether a field of the form shows the error at this pointer. Without it no field does. */
  claims?: (pointer: string) => boolean;
}

/** Explains an error; renders nothing without one, or when fields show all of it. */
export function ErrorNotice({ error, claims = () => false }: ErrorNoticeProps) {
  if (error === null || error === undefined) return null;
  const unclaimed = unclaimedErrors(error, claims);
  if (unclaimed.length === 0 && fieldErrors(error).length > 0) return null;
  const { key, values } = describeError(error, unclaimed);
  return (
    <Notice urgent>
      {t(key, values)}
      {key === "refused.email_unconfirmed" && (
        <>
          {" "}
          <Link href="/confirm-address" className="text-link font-semibold">
            {t("refused.confirm_link")}
          </Link>
        </>
      )}
    </Notice>
  );
}

/** Says that a request is sent again, because no final reply came yet. */
export function RetryStatus({ isRetrying, text }: { isRetrying: boolean; text?: string }) {
  return (
    <p role="status" className={isRetrying ? "" : "sr-only"}>
      {isRetrying && (text ?? t("error.retrying"))}
    </p>
  );
}

interface LoadErrorProps {
  error: unknown;
  onRetry: () => unknown;
  /** Replaces the page when the resource does not exist: another try would not find it either. */
  lost?: ReactNode;
}

/** Replaces a page whose data failed to load. */
export function LoadError({ error, onRetry, lost = <NotFound /> }: LoadErrorProps) {
  if (isNotFound(error)) return lost;
  return (
    <div className="mx-auto grid max-w-xl justify-items-start gap-4 py-10">
      <h1 className="text-3xl">{t("error.title")}</h1>
      <ErrorNotice error={error} />
      <div className="flex flex-wrap gap-3">
        <button type="button" className="button button-main" onClick={() => void onRetry()}>
          {t("error.retry")}
        </button>
      </div>
    </div>
  );
}
