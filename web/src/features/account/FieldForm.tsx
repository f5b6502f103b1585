// Fields about the account with their button. Each error is shown at the field that claims it, every other one for the whole form.

import { type ReactNode, useEffect, useRef, useState } from "react";
import { FormField } from "../../components/FormField";
import { ErrorNotice } from "../../components/Notices";
import { t } from "../../lib/i18n";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { type AccountField, accountFieldError, claimsPointer, formError } from "./accountFields";

interface Props<T> {
  fields: readonly AccountField[];
  send: (values: Record<string, string>) => Promise<T>;
  onSuccess: (reply: T) => void;
  /** The text of the button. */
  label: string;
  children?: ReactNode;
}

export function FieldForm<T>({ fields, send, onSuccess, label, children }: Props<T>) {
  const form = useRef<HTMLFormElement>(null);
  const [sent, setSent] = useState<Record<string, string>>({});
  const { submit, isPending, error } = useSubmitOnce<T, Record<string, string>>({
    mutationFn: send,
    onSuccess: (reply) => {
      form.current?.reset();
      onSuccess(reply);
    },
  });
  useEffect(() => {
    if (error) form.current?.querySelector<HTMLInputElement>("[aria-invalid=true]")?.focus();
  }, [error]);
  return (
    <form
      ref={form}
      noValidate
      className="grid gap-5"
      onSubmit={(event) => {
        event.preventDefault();
        const entries = [...new FormData(event.currentTarget)].map(([name, value]) => [name, String(value)]);
        const values: Record<string, string> = Object.fromEntries(entries);
        setSent(values);
        submit(values);
      }}
    >
      <ErrorNotice error={formError(fields, error)} claims={(pointer) => claimsPointer(fields, pointer)} />
      {fields.map((field) => {
        const problem = accountFieldError(field, error, sent[field.name] ?? "");
        return (
          <FormField
            key={field.name}
            name={field.name}
            label={t(field.label)}
            hint={field.hint && t(field.hint)}
            error={problem && t(problem)}
            type={field.type}
            autoComplete={field.autoComplete}
          />
        );
      })}
      <button type="submit" className="button button-main text-lg" aria-disabled={isPending}>
        {isPending ? t("account.asking") : label}
      </button>
      {children}
    </form>
  );
}
