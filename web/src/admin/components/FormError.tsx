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
  too_many_edits: "why.too_many_edits",
  too_many_webhooks: "webhook.why.too_many",
  webhook_disabled: "webhook.why.disabled",
  webhook_unknown: "webhook.why.unknown",
  delivery_unknown: "webhook.why.delivery_unknown",
  mail_unknown: "mail.why.unknown",
  mail_expired: "mail.why.expired",
  follower_unknown: "integration.why.unknown",
  public_url_missing: "webhook.why.public_url",
};

interface Props {
  error: unknown;
  /** Shown when no reply came, so that the result is unknown. */
  unknownResult?: string | undefined;
  /** Whether a field of the form shows the error at this pointer. Without it no field does. */
  claims?: ((pointer: string) => boolean) | undefined;
  /** The problem codes that a field shows. */
  claimedCodes?: readonly string[];
}

export function FormError({ error, unknownResult, claims = () => false, claimedCodes = [] }: Props) {
  if (error === null || error === undefined) return null;
  const code = error instanceof ApiError ? error.code : "";
  const key = TEXT_KEYS[code];
  if (key !== undefined) return <Notice urgent>{t(key)}</Notice>;
  if (unknownResult !== undefined && code !== "overloaded" && isTransient(error))
    return <Notice urgent>{unknownResult}</Notice>;
  return claimedCodes.includes(code) ? null : <ErrorNotice error={error} claims={claims} />;
}
