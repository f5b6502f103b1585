// A button that asks before it acts: the first click shows a question with two answers in its place.

import { useState } from "react";
import { ErrorNotice } from "./Notices";

interface Props {
  label: string;
  question: string;
  confirmLabel: string;
  cancelLabel: string;
  isPending: boolean;
  error: unknown;
  onConfirm: () => void;
}

export function ConfirmInline({ label, question, confirmLabel, cancelLabel, ...action }: Props) {
  const [isOpen, setOpen] = useState(false);
  if (!isOpen) {
    return (
      <button
        type="button"
        className="text-link justify-self-start py-1 text-sm"
        onClick={() => setOpen(true)}
      >
        {label}
      </button>
    );
  }
  return (
    <div className="grid gap-3">
      <p role="alert">{question}</p>
      <div className="flex flex-wrap gap-3">
        {/* biome-ignore lint/a11y/noAutofocus: the question replaces the button that had the focus */}
        <button type="button" autoFocus className="button button-main" onClick={() => setOpen(false)}>
          {cancelLabel}
        </button>
        <button
          type="button"
          className="button button-quiet"
          aria-disabled={action.isPending}
          onClick={() => action.onConfirm()}
        >
          {confirmLabel}
        </button>
      </div>
      <ErrorNotice error={action.error} />
    </div>
  );
}
