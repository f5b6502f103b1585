// A field of a form for buyers. Label, hint and error are linked to the input for screen readers.

import { useId } from "react";

interface Props {
  name: string;
  label: string;
  hint?: string | undefined;
  /** `null`: the value is not known to be wrong. */
  error: string | null;
  type?: string | undefined;
  autoComplete: string;
  defaultValue?: string | undefined;
}

export function FormField({ name, label, hint, error, type = "text", autoComplete, defaultValue }: Props) {
  const id = useId();
  const described = [hint ? `${id}-hint` : "", error === null ? "" : `${id}-error`].join(" ").trim();
  return (
    <div className="grid gap-1">
      <label htmlFor={id} className="font-semibold">
        {label}
      </label>
      {hint && (
        <p id={`${id}-hint`} className="text-sm text-soft">
          {hint}
        </p>
      )}
      <input
        id={id}
        name={name}
        type={type}
        autoComplete={autoComplete}
        defaultValue={defaultValue}
        autoCapitalize="none"
        spellCheck={false}
        required
        dir="auto"
        className="field"
        aria-invalid={error !== null}
        aria-describedby={described || undefined}
      />
      {error !== null && (
        <p id={`${id}-error`} className="font-semibold text-mark">
          {error}
        </p>
      )}
    </div>
  );
}
