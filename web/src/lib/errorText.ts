// The text for each problem code that a buyer can get (docs/api.md lists the codes). Any other error is a bug of the page, and has
// one text with the request id.

import { ApiError, NetworkError, SessionEndedError } from "./errors";
import { fieldErrors, listErrors, type ServerFieldError } from "./formErrors";
import { locale, type TextKey } from "./i18n";
import { formatRoughDuration } from "./time";

const TEXT_KEYS: Record<string, TextKey> = {
  not_started: "refused.not_started",
  no_line: "refused.no_line",
  no_extension: "refused.no_extension",
  not_in_line: "refused.not_in_line",
  not_admitted: "refused.not_admitted",
  all_held: "refused.all_held",
  fewer_left: "refused.fewer_left",
  sold_out: "refused.sold_out",
  limit_reached: "refused.limit_reached",
  paused: "refused.paused",
  ended: "refused.ended",
  closed: "refused.ended",
  order_expired: "refused.order_expired",
  order_unknown: "refused.order_unknown",
  order_state: "refused.order_state",
  order_paying: "refused.order_paying",
  payment_declined: "refused.payment_declined",
  payment_unavailable: "refused.payment_unavailable",
  payment_unknown: "refused.payment_unknown",
  request_in_flight: "refused.request_in_flight",
  bad_mail_token: "refused.bad_mail_token",
  email_unconfirmed: "refused.email_unconfirmed",
  bad_credentials: "refused.bad_credentials",
  email_taken: "refused.email_taken",
  username_taken: "refused.username_taken",
  rate_limited: "refused.rate_limited",
  sale_unknown: "refused.sale_unknown",
  not_found: "refused.not_found",
  overloaded: "refused.overloaded",
  unavailable: "refused.unavailable",
  not_recorded: "refused.not_recorded",
  timeout: "refused.not_recorded",
  request_timeout: "refused.overloaded",
  internal: "refused.internal",
  unauthorized: "refused.session_over",
  bad_refresh_token: "refused.session_over",
  forbidden: "refused.forbidden",
};

export interface ErrorText {
  key: TextKey;
  values: Record<string, string | number>;
}

/** The codes of refusals that list fields; their errors are shown in the server's words. */
const FIELD_CODES = new Set(["invalid_body", "invalid_query"]);

/** `errors` are the field errors to list: all of them, unless fields of a form show some. */
export function describeError(
  error: unknown,
  errors: readonly ServerFieldError[] = fieldErrors(error),
): ErrorText {
  if (error instanceof NetworkError) return { key: "refused.unreachable", values: {} };
  if (error instanceof SessionEndedError) return { key: "refused.session_over", values: {} };
  if (!(error instanceof ApiError)) return { key: "refused.fault", values: { id: "–" } };
  if (FIELD_CODES.has(error.code)) {
    const details = errors.length > 0 ? listErrors(errors) : (error.body.detail ?? error.code);
    return { key: "refused.invalid", values: { details } };
  }
  if (error.code === "rate_limited" && error.body.limit === "guess") {
    return {
      key: "refused.too_many_guesses",
      values: { time: formatRoughDuration(error.retryAfterS ?? 60, locale()) },
    };
  }
  const values = {
    count: error.body.orderable ?? error.retryAfterS ?? 1,
    position: error.body.position ?? 0,
    id: error.requestId ?? "–",
  };
  return { key: TEXT_KEYS[error.code] ?? "refused.fault", values };
}
