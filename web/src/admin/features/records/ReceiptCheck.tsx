// Checks whether this shop issued a receipt to a buyer.

import { type FormEvent, useId, useState } from "react";
import { ErrorNotice } from "../../../components/Notices";
import { isolateText } from "../../../lib/isolateText";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { t } from "../../lib/texts";
import { checkReceipt } from "./queries";

interface ReceiptVerdict {
  buyer: string;
  ticket: number | null;
}

export function ReceiptCheck({ saleId }: { saleId: string }) {
  const id = useId();
  const [verdict, setVerdict] = useState<ReceiptVerdict | null>(null);
  const check = useSubmitOnce<void, { buyer: string; receipt: string }>({
    mutationFn: async ({ buyer, receipt }) => {
      setVerdict(null);
      const { genuine, ticket } = await checkReceipt(saleId, buyer, receipt);
      setVerdict({ buyer, ticket: genuine ? (ticket ?? null) : null });
    },
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const values = new FormData(event.currentTarget);
    const text = (name: string) => String(values.get(name) ?? "").trim();
    check.submit({ buyer: text("buyer"), receipt: text("receipt") });
  };
  return (
    <section aria-labelledby={`${id}-title`} className="grid gap-4 rounded-xl border border-line bg-card p-5">
      <h2 id={`${id}-title`} className="text-xl">
        {t("line.receipt.title")}
      </h2>
      <p className="text-sm text-soft">{t("line.receipt.text")}</p>
      <form className="grid gap-4" onSubmit={submit}>
        {(["buyer", "receipt"] as const).map((name) => (
          <div key={name} className="grid gap-1">
            <label htmlFor={`${id}-${name}`} className="text-sm font-semibold">
              {t(`line.receipt.${name}`)}
            </label>
            <input
              id={`${id}-${name}`}
              name={name}
              required
              dir="auto"
              maxLength={254}
              autoComplete="off"
              autoCapitalize="none"
              spellCheck={false}
              className="field"
            />
          </div>
        ))}
        <button type="submit" className="button button-main" aria-disabled={check.isPending}>
          {check.isPending ? t("line.receipt.asking") : t("line.receipt.check")}
        </button>
      </form>
      <div role="status">{verdict && <VerdictNotice verdict={verdict} />}</div>
      <ErrorNotice error={check.error} />
    </section>
  );
}

function VerdictNotice({ verdict: { buyer, ticket } }: { verdict: ReceiptVerdict }) {
  const isGenuine = ticket !== null;
  return (
    <p
      data-genuine={isGenuine}
      className={`rounded-lg border-s-4 px-4 py-3 [overflow-wrap:anywhere] ${isGenuine ? "border-good" : "border-mark bg-warn"}`}
    >
      {isGenuine
        ? t("line.receipt.genuine", { ticket, who: isolateText(buyer) })
        : t("line.receipt.forged", { who: isolateText(buyer) })}
    </p>
  );
}
