// The fields of the admin's forms. Label, hint and error are linked to the input for screen readers.

import { type ReactNode, useId } from "react";
import type { FormDraft } from "../lib/formDraft";
import { t } from "../lib/texts";

/** A locked field looks like text. */
const FIELD_CLASS =
  "field disabled:border-dashed disabled:bg-transparent disabled:text-soft disabled:opacity-100";

interface InputProps {
  id: string;
  className: string;
  name: string;
  value: string;
  disabled: boolean;
  "aria-invalid": boolean;
  "aria-describedby": string | undefined;
  onChange: (event: { target: { value: string } }) => void;
  onBlur: () => void;
}

interface FieldProps<F extends string> {
  draft: FormDraft<F>;
  name: F;
  label: string;
  hint?: ReactNode;
  isLocked?: boolean;
  className?: string;
  /** Replaces the default, which writes the value to the draft. */
  onChange?: (value: string) => void;
  children: (input: InputProps) => ReactNode;
}

export function Field<F extends string>({
  draft,
  name,
  label,
  hint,
  isLocked = false,
  className = "",
  onChange,
  children,
}: FieldProps<F>) {
  const id = useId();
  const error = isLocked ? null : draft.errorOf(name);
  const described = [hint ? `${id}-hint` : "", error === null ? "" : `${id}-error`].join(" ").trim();
  return (
    <div className={`grid content-start gap-1 ${className}`}>
      <label htmlFor={id} className={`font-semibold ${isLocked ? "text-soft" : ""}`}>
        {label}
        {isLocked && <LockIcon />}
      </label>
      {children({
        id,
        className: FIELD_CLASS,
        name,
        value: draft.values[name],
        disabled: isLocked,
        "aria-invalid": error !== null,
        "aria-describedby": described === "" ? undefined : described,
        onChange: ({ target }) =>
          (onChange ?? ((value) => draft.set({ [name]: value } as never)))(target.value),
        onBlur: () => draft.markVisited(name),
      })}
      {error !== null && (
        <p id={`${id}-error`} className="text-sm font-semibold text-mark">
          {error}
        </p>
      )}
      {hint && (
        <p id={`${id}-hint`} className="text-sm text-soft [overflow-wrap:anywhere]">
          {hint}
        </p>
      )}
    </div>
  );
}

export function NumberField<F extends string>(props: Omit<FieldProps<F>, "children">) {
  return <Field {...props}>{(input) => <input {...input} inputMode="numeric" autoComplete="off" />}</Field>;
}

interface RadioProps<F extends string> {
  draft: FormDraft<F>;
  name: F;
  label: string;
  isLocked?: boolean;
  options: { value: string; label: string; hint: string }[];
}

/** Radio buttons with a hint each. */
export function RadioField<F extends string>({
  draft,
  name,
  label,
  isLocked = false,
  options,
}: RadioProps<F>) {
  const id = useId();
  return (
    <fieldset className="grid gap-2" disabled={isLocked}>
      <legend className={`pb-1 font-semibold ${isLocked ? "text-soft" : ""}`}>
        {label}
        {isLocked && <LockIcon />}
      </legend>
      {options.map((option) => (
        <div key={option.value} className="flex items-start gap-3">
          <input
            type="radio"
            id={`${id}-${option.value}`}
            name={name}
            value={option.value}
            className="mt-1 size-5 shrink-0 accent-mark"
            checked={draft.values[name] === option.value}
            onChange={() => draft.set({ [name]: option.value } as never)}
            aria-describedby={`${id}-${option.value}-hint`}
          />
          <div>
            <label htmlFor={`${id}-${option.value}`} className={isLocked ? "text-soft" : ""}>
              {option.label}
            </label>
            <p id={`${id}-${option.value}-hint`} className="text-sm text-soft">
              {option.hint}
            </p>
          </div>
        </div>
      ))}
    </fieldset>
  );
}

function LockIcon() {
  return (
    <>
      <svg viewBox="0 0 16 16" className="ms-1.5 inline-block size-3.5 align-[-0.1em]" aria-hidden="true">
        <path fill="none" stroke="currentColor" strokeWidth="1.8" d="M5 7V5a3 3 0 0 1 6 0v2" />
        <rect x="3" y="7" width="10" height="7" rx="1.5" fill="currentColor" />
      </svg>
      <span className="sr-only"> ({t("form.locked")})</span>
    </>
  );
}

/** A group of fields under a heading. */
export function Fieldset({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="grid gap-5 rounded-xl border border-line bg-card p-5 sm:p-6">
      <h2 className="text-xl">{title}</h2>
      {children}
    </section>
  );
}
