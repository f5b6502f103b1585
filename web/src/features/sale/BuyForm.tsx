// Orders units of a sale.

import { useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { useLocation } from "wouter";
import { SignInLink } from "../../components/Layout";
import { ErrorNotice, RetryStatus } from "../../components/Notices";
import { client, type Sale, unwrapReply } from "../../lib/api";
import { type TextKey, t } from "../../lib/i18n";
import { cacheOrder } from "../../lib/queryCache";
import { queryKeys } from "../../lib/queryKeys";
import { useUser } from "../../lib/session";
import { useSubmitWithKey } from "../../lib/useSubmitWithKey";

/** The list of quantities is no longer than this. */
const CHOICES_MAX = 20;

export function BuyForm({ sale, quantityMax, label }: { sale: Sale; quantityMax: number; label: TextKey }) {
  const queries = useQueryClient();
  const [, navigate] = useLocation();
  const user = useUser();
  const selectId = useId();
  const [quantity, setQuantity] = useState(1);
  const buy = useSubmitWithKey({
    operation: `order:${user?.id ?? ""}:${sale.id}:${quantity}`,
    send: (key) =>
      unwrapReply(
        client.POST("/api/v1/orders", {
          body: { flashSaleId: sale.id, quantity },
          params: { header: { "Idempotency-Key": key } },
        }),
      ),
    onSuccess: (order) => {
      cacheOrder(queries, order);
      navigate(`/orders/${order.id}`);
    },
    onSettled: () => {
      void queries.invalidateQueries({ queryKey: queryKeys.place(sale.id) });
      void queries.invalidateQueries({ queryKey: queryKeys.sale(sale.slug) });
    },
  });

  if (user === null) {
    return (
      <>
        <p>{t("buy.sign_in_first")}</p>
        <SignInLink className="button button-main">{t("buy.sign_in")}</SignInLink>
      </>
    );
  }
  const choices = Math.min(quantityMax, CHOICES_MAX);
  return (
    <form
      className="grid gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        buy.submit();
      }}
    >
      {choices > 1 && (
        <label htmlFor={selectId} className="flex items-center gap-3">
          {t("buy.quantity")}
          <select
            id={selectId}
            className="field w-24"
            value={quantity}
            onChange={(event) => setQuantity(Number(event.target.value))}
          >
            {Array.from({ length: choices }, (_, index) => index + 1).map((n) => (
              <option key={n} value={n}>
                {t("number", { count: n })}
              </option>
            ))}
          </select>
        </label>
      )}
      <button type="submit" className="button button-main text-lg" aria-disabled={buy.isPending}>
        {buy.isPending ? t("buy.asking") : t(label)}
      </button>
      <RetryStatus isRetrying={buy.isRetrying} />
      <ErrorNotice error={buy.error} />
    </form>
  );
}
