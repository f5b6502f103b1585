// Sends everything again that failed since a moment. The field is in the reader's time zone, and begins a day ago.

import { useId, useState } from "react";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { FormError } from "./FormError";

const DAY_MS = 86_400_000;

interface Props {
  label: string;
  buttonText: string;
  resend: (since: string) => Promise<{ count: number }>;
  onDone: (count: number) => Promise<void>;
}

/** A moment as the field of the browser takes it, in the reader's time zone. */
function toLocalInput(moment: Date): string {
  const local = new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 16);
}

export function ResendFailed({ label, buttonText, resend, onDone }: Props) {
  const fieldId = useId();
  const [since, setSince] = useState(() => toLocalInput(new Date(Date.now() - DAY_MS)));
  const request = useSubmitOnce<{ count: number }>({
    mutationFn: () => resend(new Date(since).toISOString()),
    onSuccess: ({ count }) => onDone(count),
  });
  return (
    <form
      className="flex flex-wrap items-end gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        request.submit();
      }}
    >
      <div className="grid gap-1">
        <label htmlFor={fieldId} className="text-sm font-semibold">
          {label}
        </label>
        <input
          id={fieldId}
          type="datetime-local"
          className="field"
          required
          max="9998-12-31T23:59"
          value={since}
          onChange={(event) => setSince(event.target.value)}
        />
      </div>
      <button type="submit" className="button button-quiet" aria-disabled={request.isPending}>
        {buttonText}
      </button>
      <FormError error={request.error} />
    </form>
  );
}
