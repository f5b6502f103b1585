// Pays a held order: on the page of the sale's provider, or by the methods of the built-in sandbox, where no money moves.

import { useState } from "react";
import type { Order } from "../../lib/api";
import { locale, t } from "../../lib/i18n";
import { formatMoney } from "../../lib/money";
import type { Payment } from "./usePayment";

const METHODS = ["approve", "redirect", "slow", "decline", "lost"] as const;

export function PaymentForm({ order, payment }: { order: Order; payment: Payment }) {
  const provider = order.provider ?? "sandbox";
  if (provider === "sandbox") return <SandboxForm order={order} payment={payment} />;
  return (
    <form
      className="grid gap-5"
      onSubmit={(event) => {
        event.preventDefault();
        payment.submit(provider);
      }}
    >
      <p>{t("pay.elsewhere")}</p>
      <PayButton order={order} />
    </form>
  );
}

function PayButton({ order }: { order: Order }) {
  return (
    <button type="submit" className="button button-main text-lg">
      {t("pay.pay", { total: formatMoney(order.total, locale()) })}
    </button>
  );
}

function SandboxForm({ order, payment }: { order: Order; payment: Payment }) {
  const [method, setMethod] = useState<(typeof METHODS)[number]>("approve");
  return (
    <form
      className="grid gap-5"
      onSubmit={(event) => {
        event.preventDefault();
        payment.submit(`sandbox:${method}`);
      }}
    >
      <fieldset className="grid gap-1">
        <legend className="pb-1 text-lg font-semibold">{t("pay.method")}</legend>
        <p className="pb-2 text-sm text-soft">{t("pay.sandbox")}</p>
        {METHODS.map((each) => (
          <label
            key={each}
            className="flex items-start gap-3 rounded-lg border border-line px-4 py-3 has-checked:border-mark has-checked:bg-warn/50"
          >
            <input
              type="radio"
              name="method"
              value={each}
              checked={method === each}
              onChange={() => setMethod(each)}
              className="mt-1.5 size-4 shrink-0 accent-mark"
            />
            {t(`pay.${each}`)}
          </label>
        ))}
      </fieldset>
      <PayButton order={order} />
    </form>
  );
}
