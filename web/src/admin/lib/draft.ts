// What a merchant is typing into a form, and what is wrong with it: found by the page while it is typed, or by the server when it was
// sent. A field is judged once it was left with something in it, and all of them once the form was sent.

import { type FormEvent, type RefObject, useEffect, useRef, useState } from "react";
import { ApiError } from "../../lib/errors";
import { type AdminKey, t } from "./texts";

/** What is wrong with one field: one of our texts, or the server's words where we have none. */
export type Wrong = { key: AdminKey; values?: Record<string, string | number> } | { words: string };
export type Values<F extends string> = Record<F, string>;
export type Wrongs<F extends string> = Partial<Record<F, Wrong>>;

export interface Draft<F extends string> {
  form: RefObject<HTMLFormElement | null>;
  values: Values<F>;
  /** What it began with, which is what the server had then. */
  begun: Values<F>;
  set: (changes: Partial<Values<F>>) => void;
  leave: (name: F) => void;
  wrongOf: (name: F) => string | null;
  /** Sends the form if nothing is wrong with it; else the first wrong field is where one goes on. */
  send: (event: FormEvent, go: () => void) => void;
  /** Begins anew, with what the server has now. */
  restart: (values: Values<F>) => void;
}

/**
 * `refused` and `error` are what the server said to the last try. A draft that `follows` takes over what changes in `start` later, as
 * when somebody else edits the same thing, but in fields that were typed in.
 */
export function useDraft<F extends string>(
  start: Values<F>,
  check: (values: Values<F>) => Wrongs<F>,
  refused: Wrongs<F>,
  error: unknown,
  follows = false,
): Draft<F> {
  const form = useRef<HTMLFormElement>(null);
  const [begun, setBegun] = useState(start);
  const [values, setValues] = useState(start);
  const [left, setLeft] = useState<ReadonlySet<F>>(new Set());
  const [sent, setSent] = useState<Values<F> | null>(null);
  const [tries, setTries] = useState(0);
  const wrongs = check(values);

  // After a try that the page or the server did not take.
  useEffect(() => {
    if (tries > 0 || error) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [tries, error]);

  const fresh = JSON.stringify(follows ? start : begun);
  useEffect(() => {
    const now = JSON.parse(fresh) as Values<F>;
    const names = (Object.keys(now) as F[]).filter((name) => begun[name] !== now[name]);
    const untouched = names.filter((name) => values[name] === begun[name]);
    if (untouched.length === 0) return;
    setBegun((before) => ({ ...before, ...only(now, untouched) }));
    setValues((before) => ({ ...before, ...only(now, untouched) }));
  }, [fresh, begun, values]);

  return {
    form,
    values,
    begun,
    set: (changes) => setValues((before) => ({ ...before, ...changes })),
    leave: (name) => setLeft((before) => new Set(before).add(name)),
    wrongOf: (name) => {
      // The server judged what was sent; what has been changed since, it has not seen.
      const judged = sent !== null && sent[name] === values[name] ? refused[name] : undefined;
      const isTold = tries > 0 || (left.has(name) && values[name].trim() !== "");
      const wrong = (isTold ? wrongs[name] : undefined) ?? judged;
      if (wrong === undefined) return null;
      return "words" in wrong ? wrong.words : t(wrong.key, wrong.values);
    },
    send: (event, go) => {
      event.preventDefault();
      if (Object.keys(wrongs).length > 0) {
        setTries(tries + 1);
        return;
      }
      setSent(values);
      go();
    },
    restart: (fresh) => {
      setBegun(fresh);
      setValues(fresh);
      setLeft(new Set());
      setTries(0);
      setSent(null);
    },
  };
}

function only<F extends string>(values: Values<F>, names: readonly F[]): Partial<Values<F>> {
  return Object.fromEntries(names.map((name) => [name, values[name]])) as Partial<Values<F>>;
}

/** Which field of a form a JSON pointer of the server is about, and what we say about it. */
export type Pointers<F extends string> = Record<string, { field: F; wrong: Wrong }>;

/** What the server found wrong, field by field; `rest` is what no field of the form is about. */
export function refusedFields<F extends string>(
  error: unknown,
  pointers: Pointers<F>,
): { fields: Wrongs<F>; rest: string[] } {
  const fields: Wrongs<F> = {};
  const rest: string[] = [];
  const errors = error instanceof ApiError ? (error.body.errors ?? []) : [];
  for (const { pointer, detail } of errors) {
    const known = pointers[pointer];
    if (known === undefined) rest.push(`${pointer} ${detail}`.trim());
    else fields[known.field] ??= "words" in known.wrong ? { words: detail } : known.wrong;
  }
  return { fields, rest };
}
