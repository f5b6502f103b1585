// The fields above a list: a search that waits until typing rests, and choices. What they hold comes from the address.

import { type ReactNode, useEffect, useId, useRef, useState } from "react";

/** Typing rests after this. */
const REST_MS = 300;

interface SearchProps {
  label: string;
  hint?: string;
  value: string;
  /** `isOngoing`: what was searched for a moment ago was only the beginning of this. */
  onSearch: (text: string, isOngoing: boolean) => void;
}

export function SearchField({ label, hint, value, onSearch }: SearchProps) {
  const id = useId();
  const [text, setText] = useState(value);
  const sent = useRef(value);
  const isOngoing = useRef(false);
  useEffect(() => {
    // The address changed by itself, as by "back".
    if (value === sent.current) return;
    sent.current = value;
    isOngoing.current = false;
    setText(value);
  }, [value]);
  useEffect(() => {
    const wanted = text.trim();
    if (wanted === sent.current) return;
    const timer = setTimeout(() => {
      sent.current = wanted;
      onSearch(wanted, isOngoing.current);
      isOngoing.current = true;
    }, REST_MS);
    return () => clearTimeout(timer);
  }, [text, onSearch]);
  return (
    <Labelled id={id} label={label} hint={hint} className="min-w-0 flex-[2_1_16rem]">
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
        aria-describedby={hint && `${id}-hint`}
        onChange={(event) => setText(event.target.value)}
        onBlur={() => {
          isOngoing.current = false;
        }}
      />
    </Labelled>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  options: { value: string; text: string }[];
  onChoose: (value: string) => void;
}

export function ChoiceField({ label, value, options, onChoose }: ChoiceProps) {
  const id = useId();
  const isKnown = options.some((option) => option.value === value);
  return (
    <Labelled id={id} label={label} className="min-w-0 flex-[1_1_10rem]">
      <select id={id} className="field" value={value} onChange={(event) => onChoose(event.target.value)}>
        {!isKnown && <option value={value}>{value}</option>}
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.text}
          </option>
        ))}
      </select>
    </Labelled>
  );
}

interface DayProps {
  label: string;
  value: string;
  onChoose: (day: string) => void;
}

export function DayField({ label, value, onChoose }: DayProps) {
  const id = useId();
  return (
    <Labelled id={id} label={label} className="min-w-0 flex-[1_1_9rem]">
      <input
        id={id}
        type="date"
        className="field"
        value={value}
        max="9998-12-31"
        onChange={(event) => onChoose(event.target.value)}
      />
    </Labelled>
  );
}

interface LabelledProps {
  id: string;
  label: string;
  hint?: string | undefined;
  className: string;
  children: ReactNode;
}

function Labelled({ id, label, hint, className, children }: LabelledProps) {
  return (
    <div className={`grid content-start gap-1 ${className}`}>
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
