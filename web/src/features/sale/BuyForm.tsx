// Orders units of a sale.

import { useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { useLocation } from "wouter";
import { SignInLink } from "../../components/Layout";
import { ErrorNotice, Notice, RetryStatus } from "../../components/Notices";
import { client, type Order, type Sale, unwrapReply } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { locale, type TextKey, t } from "../../lib/i18n";
import { formatMoney } from "../../lib/money";
import { cacheOrder } from "../../lib/queryCache";
import { queryKeys } from "../../lib/queryKeys";
import { salePayment, totalOf } from "../../lib/saleTerms";
import { useUser } from "../../lib/session";
import { useSubmitWithKey } from "../../lib/useSubmitWithKey";

/** The list of quantities is no longer than this. */
const CHOICES_MAX = 20;
const LABELS = { collected: "buy.reserve", free: "buy.free" } as const;

interface Props {
  sale: Sale;
  quantityMax: number;
  /** Of the button in a sale whose units are paid; the others have labels of their own. */
  label: TextKey;
  /** One unit is set aside for this buyer, whatever others hold. */
  isTurn?: boolean;
}

export function BuyForm({ sale, quantityMax, label, isTurn = false }: Props) {
  const queries = useQueryClient();
  const [, navigate] = useLocation();
  const user = useUser();
  const selectId = useId();
  const [wanted, setWanted] = useState(1);
  const choices = Math.min(quantityMax, CHOICES_MAX);
  const quantity = Math.min(wanted, choices);
  const [asked, setAsked] = useState(1);
  const buy = useSubmitWithKey<Order, { quantity: number }>({
    operation: `order:${user?.id ?? ""}:${sale.id}`,
    send: (key, { quantity }) =>
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
  const submit = (quantity: number) => {
    setAsked(quantity);
    buy.submit({ quantity });
  };
  const payment = salePayment(sale);
  // The others are in other carts, but the buyer's own is not.
  const fewer = fewerLeft(buy.error, isTurn && asked > 1);
  return (
    <form
      className="grid gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        submit(quantity);
      }}
    >
      {choices > 1 && (
        <label htmlFor={selectId} className="flex flex-wrap items-center gap-3">
          {t("buy.quantity")}
          <select
            id={selectId}
            className="field w-24"
            value={quantity}
            onChange={(event) => setWanted(Number(event.target.value))}
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
        {buy.isPending ? (
          t("buy.asking")
        ) : (
          <>
            {t(payment === "paid" ? label : LABELS[payment])}
            {payment !== "free" && (
              <span className="figure font-normal"> {formatMoney(totalOf(sale, quantity), locale())}</span>
            )}
          </>
        )}
      </button>
      <RetryStatus isRetrying={buy.isRetrying} />
      {fewer !== null ? (
        <Notice urgent>
          <div className="grid justify-items-start gap-2">
            <p>
              {fewer === 1 && isTurn ? t("buy.one_set_aside") : t("refused.fewer_left", { count: fewer })}
            </p>
            <button
              type="button"
              className="text-link py-1 font-semibold"
              onClick={() => {
                setWanted(fewer);
                submit(fewer);
              }}
            >
              {fewer === 1 ? t("buy.take_one") : t("buy.take_fewer", { count: fewer })}
            </button>
          </div>
        </Notice>
      ) : (
        <ErrorNotice error={buy.error} />
      )}
    </form>
  );
}

/** How many units the buyer can have instead of those that were asked for; `null` when that is not the problem. */
function fewerLeft(error: unknown, isTurn: boolean): number | null {
  if (!(error instanceof ApiError)) return null;
  if (error.code === "fewer_left") return error.body.orderable ?? 1;
  // All others are gone, but not the one that is set aside.
  return isTurn && (error.code === "all_held" || error.code === "sold_out") ? 1 : null;
}
