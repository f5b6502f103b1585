// Finds an order of a buyer without an account, by its number and the e-mail address.

import { type FormEvent, useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import { FormField } from "../../components/FormField";
import { ErrorNotice } from "../../components/Notices";
import { OrderSummary } from "../../components/OrderSummary";
import { client, type Order, unwrapReply } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { fieldErrors } from "../../lib/formErrors";
import { t } from "../../lib/i18n";
import { orderTextKey, orderTitleKey } from "../../lib/orderTexts";
import { useSale } from "../../lib/useSale";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { useTitle } from "../../lib/useTitle";
import { t as findText } from "./findOrderTexts";

interface FindValues {
  email: string;
  order: string;
}

export default function FindOrderPage() {
  const [order, setOrder] = useState<Order | null>(null);
  return order === null ? (
    <FindOrderForm onFound={setOrder} />
  ) : (
    <FoundOrder order={order} onAgain={() => setOrder(null)} />
  );
}

function FindOrderForm({ onFound }: { onFound: (order: Order) => void }) {
  useTitle(findText("find.title"));
  const form = useRef<HTMLFormElement>(null);
  const { submit, isPending, error } = useSubmitOnce<Order, FindValues>({
    mutationFn: (body) => unwrapReply(client.POST("/api/v1/orders/find", { body })),
    onSuccess: onFound,
  });
  const isUnknown = error instanceof ApiError && error.code === "order_unknown";
  const isEmailWrong = fieldErrors(error).some(({ pointer }) => pointer === "/email");
  useEffect(() => {
    if (error) form.current?.querySelector<HTMLInputElement>("[aria-invalid=true]")?.focus();
  }, [error]);
  const send = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const values = new FormData(event.currentTarget);
    submit({ email: String(values.get("email")).trim(), order: String(values.get("order")).trim() });
  };
  return (
    <div className="mx-auto max-w-md pt-6">
      <h1 className="pb-4 page-title">{findText("find.title")}</h1>
      <p className="pb-7 text-soft">{findText("find.text")}</p>
      <form ref={form} noValidate className="grid gap-5" onSubmit={send}>
        <ErrorNotice error={isUnknown ? null : error} claims={(pointer) => pointer === "/email"} />
        <FormField
          name="order"
          label={findText("find.order")}
          error={isUnknown ? findText("find.unknown") : null}
          autoComplete="off"
        />
        <FormField
          name="email"
          label={t("account.email")}
          error={isEmailWrong ? t("account.email_wrong") : null}
          type="email"
          autoComplete="email"
        />
        <button type="submit" className="button button-main text-lg" aria-disabled={isPending}>
          {isPending ? t("account.asking") : findText("find.button")}
        </button>
      </form>
      <p className="pt-6">
        {findText("find.off")}{" "}
        <Link href="/orders" className="text-link font-semibold">
          {t("nav.orders")}
        </Link>
      </p>
    </div>
  );
}

function FoundOrder({ order, onAgain }: { order: Order; onAgain: () => void }) {
  const { data: sale } = useSale(order.flashSaleId);
  const heading = useRef<HTMLHeadingElement>(null);
  const title = t(orderTitleKey(order, order.paying === true));
  const text = orderTextKey(order);
  useTitle(title);
  useEffect(() => heading.current?.focus(), []);
  return (
    <div className="mx-auto grid max-w-5xl gap-8 md:grid-cols-[1.4fr_1fr]">
      <section aria-labelledby="order" data-order={order.status} className="panel self-start">
        <div className="panel-head">
          <h1 id="order" ref={heading} tabIndex={-1} className="text-2xl sm:text-3xl">
            {title}
          </h1>
        </div>
        <div className="panel-body grid justify-items-start gap-6">
          {text !== null && <p className="text-lg">{t(text)}</p>}
          <button type="button" className="button button-quiet" onClick={onAgain}>
            {findText("find.again")}
          </button>
        </div>
      </section>
      <OrderSummary order={order} sale={sale} />
    </div>
  );
}
