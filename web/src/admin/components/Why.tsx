// Why something did not work, in a merchant's words where the buyer's would mislead.

import { ErrorNotice, Notice } from "../../components/Notices";
import { ApiError } from "../../lib/errors";
import { isTransient } from "../../lib/retry";
import { type AdminKey, t } from "../lib/texts";

const WORDS: Record<string, AdminKey> = {
  promise_made: "why.promise_made",
  ended: "why.over",
  closed: "why.over",
  bad_policy: "why.bad_policy",
  product_in_use: "why.product_in_use",
  product_unknown: "why.product_unknown",
};

interface Props {
  error: unknown;
  /** What to say when nobody knows whether it was done. */
  unsure?: string | undefined;
  /** What the server says about fields that the page does not have. */
  rest?: string[];
}

export function Why({ error, unsure, rest = [] }: Props) {
  if (error === null || error === undefined) return null;
  const code = error instanceof ApiError ? error.code : "";
  const words = WORDS[code];
  if (words !== undefined) return <Notice urgent>{t(words)}</Notice>;
  if (unsure !== undefined && code !== "overloaded" && isTransient(error))
    return <Notice urgent>{unsure}</Notice>;
  // The fields themselves tell what is wrong with them.
  if (code === "slug_taken") return null;
  if (code === "invalid_body" && error instanceof ApiError && error.body.errors) {
    return rest.length === 0 ? null : <Notice urgent>{t("why.rest", { words: rest.join("; ") })}</Notice>;
  }
  return <ErrorNotice error={error} />;
}
