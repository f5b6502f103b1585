// Explains why an action or a form failed, with texts for merchants where those for buyers would mislead.

import { ErrorNotice, Notice } from "../../components/Notices";
import { ApiError } from "../../lib/errors";
import { isTransient } from "../../lib/retry";
import { type AdminTextKey, t } from "../lib/texts";

const TEXT_KEYS: Record<string, AdminTextKey> = {
  promise_made: "why.promise_made",
  ended: "why.over",
  closed: "why.over",
  bad_policy: "why.bad_policy",
  product_in_use: "why.product_in_use",
  product_unknown: "why.product_unknown",
};

interface Props {
  error: unknown;
  /** Shown when no reply came, so that the result is unknown. */
  unknownResult?: string | undefined;
  /** The server's errors in fields that the form does not have. */
  otherErrors?: string[];
}

export function FormError({ error, unknownResult, otherErrors = [] }: Props) {
  if (error === null || error === undefined) return null;
  const code = error instanceof ApiError ? error.code : "";
  const key = TEXT_KEYS[code];
  if (key !== undefined) return <Notice urgent>{t(key)}</Notice>;
  if (unknownResult !== undefined && code !== "overloaded" && isTransient(error))
    return <Notice urgent>{unknownResult}</Notice>;
  // The fields show these errors themselves.
  if (code === "slug_taken") return null;
  if (code === "invalid_body" && error instanceof ApiError && error.body.errors) {
    return otherErrors.length === 0 ? null : (
      <Notice urgent>{t("why.rest", { words: otherErrors.join("; ") })}</Notice>
    );
  }
  return <ErrorNotice error={error} />;
}
