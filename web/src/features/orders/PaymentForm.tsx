// Pays a held order. The payment methods are those of the built-in sandbox; no money moves.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ErrorNotice, RetryStatus } from "../../components/Notices";
import { client, type Order, unwrapReply } from "../../lib/api";
import { locale, t } from "../../lib/i18n";
import { formatMoney } from "../../lib/money";
import { cacheOrder } from "../../lib/queryCache";
import { queryKeys } from "../../lib/queryKeys";
import { useSubmitWithKey } from "../../lib/useSubmitWithKey";

const METHODS = ["approve", "slow", "decline", "lost"] as const;

export function PaymentForm({ order }: { order: Order }) {
  const queries = useQueryClient();
  const [method, setMethod] = useState<(typeof METHODS)[number]>("approve");
  const pay = useSubmitWithKey({
    operation: `pay:${order.id}:${method}`,
    send: (key) =>
      unwrapReply(
        client.POST("/api/v1/orders/{id}/pay", {
          body: { method: `sandbox:${method}` },
          params: { path: { id: order.id }, header: { "Idempotency-Key": key } },
        }),
      ),
    tries: 6,
    onSuccess: (paid) => cacheOrder(queries, paid),
    onError: () => void queries.invalidateQueries({ queryKey: queryKeys.order(order.id) }),
    onSettled: () => void queries.invalidateQueries({ queryKey: queryKeys.orders }),
  });
  return (
    <form
      className="grid gap-5"
      onSubmit={(event) => {
        event.preventDefault();
        pay.submit();
      }}
    >
      <fieldset className="grid gap-1" disabled={pay.isPending}>
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
              className="mt-1.5 size-4 accent-mark"
            />
            {t(`pay.${each}`)}
          </label>
        ))}
      </fieldset>
      <button type="submit" className="button button-main text-lg" aria-disabled={pay.isPending}>
        {pay.isPending ? t("pay.asking") : t("pay.pay", { total: formatMoney(order.total, locale()) })}
      </button>
      <RetryStatus isRetrying={pay.isRetrying} text={t("pay.insisting")} />
      <ErrorNotice error={pay.error} />
    </form>
  );
}
