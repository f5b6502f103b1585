// The server's errors in single fields. A form names the pointers whose errors it shows at a field; an error that no field claims is
// shown for the whole form, so that no refusal is silent.

import { ApiError } from "./errors";

export interface ServerFieldError {
  /** The JSON pointer to a field of the body, or `/name` of a query parameter. */
  pointer: string;
  detail: string;
}

/** The field errors of a refusal; empty for every other error. */
export function fieldErrors(error: unknown): readonly ServerFieldError[] {
  return error instanceof ApiError ? (error.body.errors ?? []) : [];
}

/** The errors that no field of the form claims. */
export function unclaimedErrors(
  error: unknown,
  claims: (pointer: string) => boolean,
): readonly ServerFieldError[] {
  return fieldErrors(error).filter(({ pointer }) => !claims(pointer));
}

/** The errors as one text, in the server's words, with the names of their fields. */
export function listErrors(errors: readonly ServerFieldError[]): string {
  return errors
    .map(({ pointer, detail }) => `${pointer.replace(/^\//, "").replaceAll("/", ".")} ${detail}`.trim())
    .join("; ");
}
