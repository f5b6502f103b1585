// The form of the sign-in and registration pages. After success it starts the session and returns the buyer to the previous page.

import { useEffect, useId, useRef } from "react";
import { Link, useLocation, useSearch } from "wouter";
import type { components } from "../../api/schema";
import { ErrorNotice } from "../../components/Notices";
import { ApiError } from "../../lib/errors";
import { type TextKey, t } from "../../lib/i18n";
import { returnPath } from "../../lib/returnPath";
import { signIn } from "../../lib/session";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { useTitle } from "../../lib/useTitle";

interface AccountField {
  name: string;
  label: TextKey;
  hint?: TextKey;
  /** The text for an invalid value. */
  invalid: TextKey;
  /** The problem code for a value that another account has, and its text. */
  taken?: { code: string; text: TextKey };
  type?: string;
  autoComplete: string;
}

interface Props {
  title: TextKey;
  fields: AccountField[];
  send: (values: Record<string, string>) => Promise<components["schemas"]["SignedInReply"]>;
  /** The link to the other of the two pages. */
  other: { question: TextKey; path: string; label: TextKey };
}

export function AccountForm({ title, fields, send, other }: Props) {
  useTitle(t(title));
  const form = useRef<HTMLFormElement>(null);
  const search = useSearch();
  const [, navigate] = useLocation();
  const { submit, isPending, error } = useSubmitOnce({
    mutationFn: send,
    onSuccess: (reply) => {
      signIn(reply);
      navigate(returnPath(search), { replace: true });
    },
  });
  useEffect(() => {
    if (error) form.current?.querySelector<HTMLInputElement>("[aria-invalid=true]")?.focus();
  }, [error]);
  const hasFieldErrors = error instanceof ApiError && (error.body.errors?.length ?? 0) > 0;
  return (
    <>
      <form
        ref={form}
        noValidate
        className="mx-auto grid max-w-md gap-5 pt-6"
        onSubmit={(event) => {
          event.preventDefault();
          const values = new FormData(event.currentTarget);
          submit(Object.fromEntries([...values].map(([name, value]) => [name, String(value)])));
        }}
      >
        <h1 className="pb-2 text-4xl">{t(title)}</h1>
        {!hasFieldErrors && <ErrorNotice error={error} />}
        {fields.map((field) => (
          <AccountInput key={field.name} {...field} error={error} />
        ))}
        <button type="submit" className="button button-main text-lg" aria-disabled={isPending}>
          {isPending ? t("account.asking") : t(title)}
        </button>
      </form>
      <p className="mx-auto max-w-md pt-6">
        {t(other.question)}{" "}
        <Link href={`${other.path}${search === "" ? "" : `?${search}`}`} className="text-link font-semibold">
          {t(other.label)}
        </Link>
      </p>
    </>
  );
}

function AccountInput({ name, label, hint, taken, error, ...field }: AccountField & { error: unknown }) {
  const id = useId();
  const problem = error instanceof ApiError ? error : null;
  const isTaken = taken !== undefined && problem?.code === taken.code;
  const isInvalid = isTaken || (problem?.body.errors ?? []).some(({ pointer }) => pointer === `/${name}`);
  const described = [hint ? `${id}-hint` : "", isInvalid ? `${id}-error` : ""].join(" ").trim();
  return (
    <div className="grid gap-1">
      <label htmlFor={id} className="font-semibold">
        {t(label)}
      </label>
      {hint && (
        <p id={`${id}-hint`} className="text-sm text-soft">
          {t(hint)}
        </p>
      )}
      <input
        id={id}
        name={name}
        type={field.type ?? "text"}
        autoComplete={field.autoComplete}
        autoCapitalize="none"
        spellCheck={false}
        required
        dir="auto"
        className="field"
        aria-invalid={isInvalid}
        aria-describedby={described || undefined}
      />
      {isInvalid && (
        <p id={`${id}-error`} className="font-semibold text-mark">
          {t(isTaken ? taken.text : field.invalid)}
        </p>
      )}
    </div>
  );
}
