// The form of the sign-in and registration pages.

import { type ReactNode, useEffect, useId, useRef } from "react";
import { ErrorNotice } from "../../components/Notices";
import { ApiError } from "../../lib/errors";
import { type TextKey, t } from "../../lib/i18n";

interface Props {
  title: TextKey;
  submit: TextKey;
  isPending: boolean;
  error: unknown;
  onSubmit: (values: Record<string, string>) => void;
  children: ReactNode;
}

export function AccountForm({ title, submit, isPending, error, onSubmit, children }: Props) {
  const form = useRef<HTMLFormElement>(null);
  const hasFieldErrors = error instanceof ApiError && (error.body.errors?.length ?? 0) > 0;
  useEffect(() => {
    if (error) form.current?.querySelector<HTMLInputElement>("[aria-invalid=true]")?.focus();
  }, [error]);
  return (
    <form
      ref={form}
      noValidate
      className="mx-auto grid max-w-md gap-5 pt-6"
      onSubmit={(event) => {
        event.preventDefault();
        if (isPending) return;
        const values = new FormData(event.currentTarget);
        onSubmit(Object.fromEntries([...values].map(([name, value]) => [name, String(value)])));
      }}
    >
      <h1 className="pb-2 text-4xl">{t(title)}</h1>
      {!hasFieldErrors && <ErrorNotice error={error} />}
      {children}
      <button type="submit" className="button button-main text-lg" aria-disabled={isPending}>
        {isPending ? t("account.asking") : t(submit)}
      </button>
    </form>
  );
}

interface FieldProps {
  name: string;
  label: TextKey;
  hint?: TextKey;
  wrong: TextKey;
  type?: string;
  autoComplete: string;
  error: unknown;
  isWrong?: boolean;
}

export function AccountField({
  name,
  label,
  hint,
  wrong,
  type = "text",
  autoComplete,
  error,
  isWrong = false,
}: FieldProps) {
  const id = useId();
  const errors = error instanceof ApiError ? (error.body.errors ?? []) : [];
  const invalid = isWrong || errors.some(({ pointer }) => pointer === `/${name}`);
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
        type={type}
        autoComplete={autoComplete}
        autoCapitalize="none"
        spellCheck={false}
        required
        dir="auto"
        className="field"
        aria-invalid={invalid}
        aria-describedby={
          [hint ? `${id}-hint` : "", invalid ? `${id}-wrong` : ""].join(" ").trim() || undefined
        }
      />
      {invalid && (
        <p id={`${id}-wrong`} className="font-semibold text-mark">
          {t(wrong)}
        </p>
      )}
    </div>
  );
}
