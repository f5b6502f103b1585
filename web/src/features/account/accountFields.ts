// The fields of the account forms, and which of the server's errors each of them shows. Pure. What no field claims is shown for the form.

import { ApiError } from "../../lib/errors";
import { fieldErrors } from "../../lib/formErrors";
import type { TextKey } from "../../lib/i18n";

export interface AccountField {
  name: string;
  label: TextKey;
  hint?: TextKey;
  /** The pointers of the server's errors that this field shows. */
  pointers: readonly string[];
  /** The text for an invalid value. */
  invalid: (value: string) => TextKey;
  /** The problem codes that are about this field, and their texts. */
  refusals?: Record<string, TextKey>;
  type?: string;
  autoComplete: string;
}

/** The rules of passwords (docs/api.md): the length, and no password that many people use. */
const PASSWORD_LEN = { min: 8, max: 256 };

function describePassword(value: string): TextKey {
  const length = [...value].length;
  const isLengthRight = length >= PASSWORD_LEN.min && length <= PASSWORD_LEN.max;
  return isLengthRight ? "account.password_common" : "account.password_wrong";
}

/** The error that a field shows, for the value that was sent. */
export function accountFieldError(field: AccountField, error: unknown, value: string): TextKey | null {
  const refusal = error instanceof ApiError ? field.refusals?.[error.code] : undefined;
  if (refusal !== undefined) return refusal;
  const isInvalid = fieldErrors(error).some(({ pointer }) => field.pointers.includes(pointer));
  return isInvalid ? field.invalid(value) : null;
}

/** The error that is left for the whole form: `null` when a field shows the refusal itself. */
export function formError(fields: readonly AccountField[], error: unknown): unknown {
  const isShown = error instanceof ApiError && fields.some(({ refusals }) => refusals?.[error.code]);
  return isShown ? null : error;
}

export function claimsPointer(fields: readonly AccountField[], pointer: string): boolean {
  return fields.some(({ pointers }) => pointers.includes(pointer));
}

export const EMAIL: AccountField = {
  name: "email",
  label: "account.email",
  pointers: ["/email"],
  invalid: () => "account.email_wrong",
  refusals: { email_taken: "refused.email_taken" },
  type: "email",
  autoComplete: "email",
};

export const USERNAME: AccountField = {
  name: "username",
  label: "account.username",
  hint: "account.username_hint",
  pointers: ["/username"],
  invalid: () => "account.username_wrong",
  refusals: { username_taken: "refused.username_taken" },
  autoComplete: "username",
};

/** Takes either, so it shows the errors of both. */
export const EMAIL_OR_USERNAME: AccountField = {
  name: "name",
  label: "account.name",
  pointers: ["/email", "/username"],
  invalid: () => "account.name_wrong",
  autoComplete: "username",
};

export const PASSWORD: AccountField = {
  name: "password",
  label: "account.password",
  pointers: ["/password"],
  invalid: describePassword,
  type: "password",
  autoComplete: "current-password",
};

export const CODE: AccountField = {
  name: "code",
  label: "account.code",
  pointers: ["/code"],
  invalid: () => "refused.bad_mail_token",
  refusals: { bad_mail_token: "refused.bad_mail_token" },
  autoComplete: "one-time-code",
};

export const NEW_ACCOUNT_PASSWORD: AccountField = {
  ...PASSWORD,
  hint: "account.password_hint",
  autoComplete: "new-password",
};

export const CURRENT_PASSWORD: AccountField = {
  ...PASSWORD,
  name: "currentPassword",
  label: "account.current_password",
  pointers: ["/currentPassword"],
  invalid: () => "account.current_password_wrong",
  refusals: { bad_credentials: "account.current_password_wrong" },
};

export const NEW_PASSWORD: AccountField = {
  ...NEW_ACCOUNT_PASSWORD,
  name: "newPassword",
  label: "account.new_password",
  pointers: ["/newPassword"],
};
