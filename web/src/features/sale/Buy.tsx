// Taking a unit: one press is one intent, however often it is sent.

import { useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { useLocation } from "wouter";
import { SignInLink } from "../../components/Layout";
import { Failure } from "../../components/Notice";
import { ask, client, type Sale } from "../../lib/api";
import { useDeed } from "../../lib/deed";
import { type TextKey, t } from "../../lib/i18n";
import { intents } from "../../lib/intents";
import { insist } from "../../lib/problem";
import { keys, rememberOrder } from "../../lib/queries";
import { session } from "../../lib/session";
import { useStore } from "../../lib/store";

/** More than this one picks nowhere from a list. */
const CHOICES_MAX = 20;

export function Buy({ sale, most, label }: { sale: Sale; most: number; label: TextKey }) {
  const queries = useQueryClient();
  const [, go] = useLocation();
  const who = useStore(session);
  const field = useId();
  const [quantity, setQuantity] = useState(1);
  const [isInsisting, setInsisting] = useState(false);
  const buy = useDeed({
    mutationFn: async () => {
      const intent = `order:${who.status === "in" ? who.user.id : ""}:${sale.id}:${quantity}`;
      const key = intents.keyOf(intent);
      const order = await insist(
        () =>
          ask(
            client.POST("/api/v1/orders", {
              body: { flashSaleId: sale.id, quantity },
              params: { header: { "Idempotency-Key": key } },
            }),
          ),
        { onRetry: () => setInsisting(true) },
      );
      intents.settle(intent);
      return order;
    },
    onSuccess: (order) => {
      rememberOrder(queries, order);
      go(`/orders/${order.id}`);
    },
    onSettled: () => {
      setInsisting(false);
      void queries.invalidateQueries({ queryKey: keys.place(sale.id) });
      void queries.invalidateQueries({ queryKey: keys.sale(sale.slug) });
    },
  });

  if (who.status !== "in") {
    return (
      <>
        <p>{t("buy.sign_in_first")}</p>
        <SignInLink className="button button-main">{t("buy.sign_in")}</SignInLink>
      </>
    );
  }
  const choices = Math.min(most, CHOICES_MAX);
  return (
    <form
      className="grid gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        buy.press();
      }}
    >
      {choices > 1 && (
        <label htmlFor={field} className="flex items-center gap-3">
          {t("buy.quantity")}
          <select
            id={field}
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
      <p role="status" className={isInsisting ? "" : "sr-only"}>
        {isInsisting && t("buy.insisting")}
      </p>
      <Failure error={buy.error} />
    </form>
  );
}
