// The values and errors of a form. The page validates while the user types; the server validates what was sent. A field shows its error
// once it was left with a value in it; all fields show theirs once the form was sent.

import { type FormEvent, type RefObject, useEffect, useRef, useState } from "react";
import { fieldErrors } from "../../lib/formErrors";
import { type AdminTextKey, t } from "./texts";

/** A text of the page, or the detail that the server sent where the page has no text. */
export type FieldError = { key: AdminTextKey; values?: Record<string, string | number> } | { detail: string };
export type FormValues<F extends string> = Record<F, string>;
export type FieldErrors<F extends string> = Partial<Record<F, FieldError>>;

export interface FormDraft<F extends string> {
  form: RefObject<HTMLFormElement | null>;
  values: FormValues<F>;
  /** The values that the server had when the draft started. */
  initial: FormValues<F>;
  set: (changes: Partial<FormValues<F>>) => void;
  markVisited: (name: F) => void;
  errorOf: (name: F) => string | null;
  /** Calls `submit` if the form is valid; else moves the focus to the first field with an error. */
  send: (event: FormEvent, submit: () => void) => void;
  /** Starts again from the values that the server has now. */
  restart: (values: FormValues<F>) => void;
}

/**
 * `serverErrors` and `error` are those of the last request. A draft that `follows` takes over later changes of `start`, such as those of
 * another admin, except in fields that the user has changed.
 */
export function useDraft<F extends string>(
  start: FormValues<F>,
  validate: (values: FormValues<F>) => FieldErrors<F>,
  serverErrors: FieldErrors<F>,
  error: unknown,
  follows = false,
): FormDraft<F> {
  const form = useRef<HTMLFormElement>(null);
  const [initial, setInitial] = useState(start);
  const [values, setValues] = useState(start);
  const [visited, setVisited] = useState<ReadonlySet<F>>(new Set());
  const [sent, setSent] = useState<FormValues<F> | null>(null);
  const [tries, setTries] = useState(0);
  const errors = validate(values);

  // After a submission that the page or the server refused.
  useEffect(() => {
    if (tries > 0 || error) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [tries, error]);

  const fresh = JSON.stringify(follows ? start : initial);
  useEffect(() => {
    const now = JSON.parse(fresh) as FormValues<F>;
    const names = (Object.keys(now) as F[]).filter((name) => initial[name] !== now[name]);
    const untouched = names.filter((name) => values[name] === initial[name]);
    if (untouched.length === 0) return;
    setInitial((before) => ({ ...before, ...pick(now, untouched) }));
    setValues((before) => ({ ...before, ...pick(now, untouched) }));
  }, [fresh, initial, values]);

  return {
    form,
    values,
    initial,
    set: (changes) => setValues((before) => ({ ...before, ...changes })),
    markVisited: (name) => setVisited((before) => new Set(before).add(name)),
    errorOf: (name) => {
      // The server's error applies to the value that was sent, not to a later one.
      const serverError = sent !== null && sent[name] === values[name] ? serverErrors[name] : undefined;
      const isShown = tries > 0 || (visited.has(name) && values[name].trim() !== "");
      const fieldError = (isShown ? errors[name] : undefined) ?? serverError;
      if (fieldError === undefined) return null;
      return "detail" in fieldError ? fieldError.detail : t(fieldError.key, fieldError.values);
    },
    send: (event, submit) => {
      event.preventDefault();
      if (Object.keys(errors).length > 0) {
        setTries(tries + 1);
        return;
      }
      setSent(values);
      submit();
    },
    restart: (values) => {
      setInitial(values);
      setValues(values);
      setVisited(new Set());
      setTries(0);
      setSent(null);
    },
  };
}

function pick<F extends string>(values: FormValues<F>, names: readonly F[]): Partial<FormValues<F>> {
  return Object.fromEntries(names.map((name) => [name, values[name]])) as Partial<FormValues<F>>;
}

/** The field and the text for each JSON pointer in the server's errors. */
export type PointerMap<F extends string> = Record<string, { field: F; error: FieldError }>;

/**
 * The server's errors by field. A field that is locked or not on the form cannot show an error, so it claims none; what no field claims
 * is shown for the form.
 */
export function readServerErrors<F extends string>(
  error: unknown,
  pointers: PointerMap<F>,
  isShown: (field: F) => boolean = () => true,
): { fields: FieldErrors<F>; claims: (pointer: string) => boolean } {
  const fields: FieldErrors<F> = {};
  const claimed = (pointer: string) => {
    const known = pointers[pointer];
    return known !== undefined && isShown(known.field) ? known : null;
  };
  for (const { pointer, detail } of fieldErrors(error)) {
    const known = claimed(pointer);
    if (known !== null) fields[known.field] ??= "detail" in known.error ? { detail } : known.error;
  }
  return { fields, claims: (pointer) => claimed(pointer) !== null };
}
