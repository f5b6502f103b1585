// A modal dialog that asks before an action. Escape cancels. While the action is pending the dialog stays open, because closing it
// would not undo the action.

import { type ReactNode, useId, useLayoutEffect, useRef } from "react";
import { t } from "../lib/texts";

interface Props {
  title: string;
  confirmLabel: string;
  pendingLabel?: string;
  cancelLabel?: string;
  isPending: boolean;
  onConfirm: () => void;
  onCancel: () => void;
  children: ReactNode;
}

export function ConfirmDialog({ title, isPending, onConfirm, onCancel, children, ...labels }: Props) {
  const titleId = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // The browser returns the focus only when the dialog is closed before it is removed.
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={titleId}
      className="m-auto w-[calc(100%-2rem)] max-w-lg rounded-xl border border-line bg-card p-6 text-ink backdrop:bg-black/50"
      onCancel={(event) => {
        event.preventDefault();
        if (!isPending) onCancel();
      }}
    >
      <form
        noValidate
        className="grid gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          onConfirm();
        }}
      >
        <h2 id={titleId} className="text-2xl">
          {title}
        </h2>
        {children}
        <div className="flex flex-wrap justify-end gap-3 pt-2">
          <button
            type="button"
            className="button button-quiet"
            aria-disabled={isPending}
            onClick={() => !isPending && onCancel()}
          >
            {labels.cancelLabel ?? t("control.cancel")}
          </button>
          <button type="submit" className="button button-main" aria-disabled={isPending}>
            {isPending ? (labels.pendingLabel ?? t("control.asking")) : labels.confirmLabel}
          </button>
        </div>
      </form>
    </dialog>
  );
}
