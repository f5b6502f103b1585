// A checkbox with its label, and a hint where one is needed.

import { type ReactNode, useId } from "react";

interface CheckProps {
  label: ReactNode;
  hint?: ReactNode;
  isChecked: boolean;
  isInvalid?: boolean;
  onChange: (isChecked: boolean) => void;
}

export function CheckField({ label, hint, isChecked, isInvalid = false, onChange }: CheckProps) {
  const id = useId();
  return (
    <div className="flex items-start gap-3 py-1">
      <input
        type="checkbox"
        id={id}
        className="mt-1 size-5 shrink-0 accent-mark"
        checked={isChecked}
        aria-invalid={isInvalid}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(event) => onChange(event.target.checked)}
      />
      <div>
        <label htmlFor={id}>{label}</label>
        {hint && (
          <p id={`${id}-hint`} className="text-sm text-soft">
            {hint}
          </p>
        )}
      </div>
    </div>
  );
}
