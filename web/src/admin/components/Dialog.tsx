// A question that has to be answered before anything else: the page behind it stands still, Escape is "no".

import { type ReactNode, useId, useLayoutEffect, useRef } from "react";
import { t } from "../lib/texts";

interface Props {
  title: string;
  /** What the button that does it says. */
  yes: string;
  isPending: boolean;
  onYes: () => void;
  onCancel: () => void;
  children: ReactNode;
}

export function Dialog({ title, yes, isPending, onYes, onCancel, children }: Props) {
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // Closed before it goes, the browser gives the focus back to where it was.
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
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
          onYes();
        }}
      >
        <h2 id={id} className="text-2xl">
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
            {t("control.cancel")}
          </button>
          <button type="submit" className="button button-main" aria-disabled={isPending}>
            {isPending ? t("control.asking") : yes}
          </button>
        </div>
      </form>
    </dialog>
  );
}
