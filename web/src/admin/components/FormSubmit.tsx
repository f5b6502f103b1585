// The end of a form: why saving failed, the button, and whether the form is saved.

import { RetryStatus } from "../../components/Notices";
import { t } from "../lib/texts";
import { FormError } from "./FormError";

interface Props {
  save: { isPending: boolean; isRetrying: boolean; error: unknown };
  isSaved: boolean;
  /** Whether a field that is shown has the error at this pointer. */
  claims: (pointer: string) => boolean;
  /** The problem codes that a field shows. */
  claimedCodes?: readonly string[];
  /** Of the button; without it there is none. */
  label: string | null;
}

export function FormSubmit({ save, isSaved, claims, claimedCodes = [], label }: Props) {
  return (
    <>
      <RetryStatus isRetrying={save.isRetrying} />
      <FormError
        error={save.error}
        unknownResult={t("form.unsure")}
        claims={claims}
        claimedCodes={claimedCodes}
      />
      {label !== null && (
        <button type="submit" className="button button-main" aria-disabled={save.isPending}>
          {save.isPending ? t("form.saving") : label}
        </button>
      )}
      <p role="status" className={isSaved ? "font-semibold text-good" : "sr-only"}>
        {isSaved && t("form.saved")}
      </p>
    </>
  );
}
