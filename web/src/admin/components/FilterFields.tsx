// The fields above a list of records. Their values are in the address.

import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import type { FilterBinding } from "../lib/useFilters";

/** A search starts when nothing was typed for this long. */
const TYPING_PAUSE_MS = 300;

interface FilterFieldProps {
  filter: FilterBinding;
  label: string;
}

export function SearchField({ filter, label, hint }: FilterFieldProps & { hint: string }) {
  const { name, value, change } = filter;
  const id = useId();
  const [text, setText] = useState(value);
  const applied = useRef(value);
  // Searches of one stretch of typing share one entry in the browser's history.
  const isTyping = useRef(false);
  useEffect(() => {
    // The address changed otherwise, such as by "back".
    if (value === applied.current) return;
    applied.current = value;
    isTyping.current = false;
    setText(value);
  }, [value]);
  useEffect(() => {
    const trimmed = text.trim();
    if (trimmed === applied.current) return;
    const timer = setTimeout(() => {
      applied.current = trimmed;
      change({ [name]: trimmed }, isTyping.current);
      isTyping.current = true;
    }, TYPING_PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text, name, change]);
  return (
    <LabelledField id={id} label={label} hint={hint} className="flex-[2_1_16rem]">
      <input
        id={id}
        type="search"
        className="field"
        dir="auto"
        maxLength={254}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        value={text}
        aria-describedby={`${id}-hint`}
        onChange={(event) => setText(event.target.value)}
        onBlur={() => {
          isTyping.current = false;
        }}
      />
    </LabelledField>
  );
}

interface SelectProps extends FilterFieldProps {
  options: { value: string; text: string }[];
}

export function SelectField({ filter, label, options }: SelectProps) {
  const { name, value, change } = filter;
  const id = useId();
  const isKnown = options.some((option) => option.value === value);
  return (
    <LabelledField id={id} label={label} className="flex-[1_1_10rem]">
      <select
        id={id}
        className="field"
        value={value}
        onChange={(event) => change({ [name]: event.target.value })}
      >
        {!isKnown && <option value={value}>{value}</option>}
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.text}
          </option>
        ))}
      </select>
    </LabelledField>
  );
}

export function DateField({ filter, label }: FilterFieldProps) {
  const { name, value, change } = filter;
  const id = useId();
  return (
    <LabelledField id={id} label={label} className="flex-[1_1_9rem]">
      <input
        id={id}
        type="date"
        className="field"
        value={value}
        max="9998-12-31"
        onChange={(event) => change({ [name]: event.target.value })}
      />
    </LabelledField>
  );
}

interface LabelledProps {
  id: string;
  label: string;
  hint?: string;
  className: string;
  children: ReactNode;
}

function LabelledField({ id, label, hint, className, children }: LabelledProps) {
  return (
    <div className={`grid min-w-0 content-start gap-1 ${className}`}>
      <label htmlFor={id} className="text-sm font-semibold">
        {label}
      </label>
      {children}
      {hint && (
        <p id={`${id}-hint`} className="text-sm text-soft">
          {hint}
        </p>
      )}
    </div>
  );
}
