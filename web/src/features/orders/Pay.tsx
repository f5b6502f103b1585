// Paying for a held order. The methods are those of the built-in sandbox: no money moves.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Failure } from "../../components/Notice";
import { ask, client, type Order } from "../../lib/api";
import { useDeed } from "../../lib/deed";
import { language, t } from "../../lib/i18n";
import { intents } from "../../lib/intents";
import { formatMoney } from "../../lib/money";
import { insist } from "../../lib/problem";
import { keys, rememberOrder } from "../../lib/queries";

const METHODS = ["approve", "slow", "decline", "lost"] as const;

export function Pay({ order }: { order: Order }) {
  const queries = useQueryClient();
  const [method, setMethod] = useState<(typeof METHODS)[number]>("approve");
  const [isInsisting, setInsisting] = useState(false);
  const pay = useDeed({
    mutationFn: async () => {
      const intent = `pay:${order.id}:${method}`;
      const key = intents.keyOf(intent);
      const paid = await insist(
        () =>
          ask(
            client.POST("/api/v1/orders/{id}/pay", {
              body: { method: `sandbox:${method}` },
              params: { path: { id: order.id }, header: { "Idempotency-Key": key } },
            }),
          ),
        { onRetry: () => setInsisting(true), tries: 6 },
      );
      intents.settle(intent);
      return paid;
    },
    onSuccess: (paid) => rememberOrder(queries, paid),
    onError: () => void queries.invalidateQueries({ queryKey: keys.order(order.id) }),
    onSettled: () => {
      setInsisting(false);
      void queries.invalidateQueries({ queryKey: keys.orders });
    },
  });
  return (
    <form
      className="grid gap-5"
      onSubmit={(event) => {
        event.preventDefault();
        pay.press();
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
        {pay.isPending ? t("pay.asking") : t("pay.pay", { total: formatMoney(order.total, language()) })}
      </button>
      <p role="status" className={isInsisting ? "" : "sr-only"}>
        {isInsisting && t("pay.insisting")}
      </p>
      <Failure error={pay.error} />
    </form>
  );
}
