// The buyer's own units in this sale: held, being paid, or bought.

import { useState } from "react";
import { Link } from "wouter";
import { Countdown } from "../../components/Countdown";
import type { Order, Sale } from "../../lib/api";
import { locale, t } from "../../lib/i18n";
import { formatMoney } from "../../lib/money";
import { orderPayment } from "../../lib/saleTerms";
import { BuyForm } from "./BuyForm";
import { JoinLine } from "./WaitingLine";

interface HeldProps {
  order: Order;
  untilMs: number;
  now: number | null;
}

export function HeldUnits({ order, untilMs, now }: HeldProps) {
  const isFree = orderPayment(order) === "free";
  return (
    <>
      <Countdown now={now} untilMs={untilMs} label="held.left" />
      <p>
        {isFree
          ? t("held.text_free", { count: order.quantity })
          : t("held.text", { count: order.quantity, total: formatMoney(order.total, locale()) })}
      </p>
      <Link href={`/orders/${order.id}`} className="button button-main text-lg">
        {t(isFree ? "buy.free" : "held.pay")}
      </Link>
    </>
  );
}

export function UnitsBeingPaid({ order }: { order: Order }) {
  return (
    <>
      <p className="text-lg">{t("paying.text", { count: order.quantity })}</p>
      <Link href={`/orders/${order.id}`} className="button button-quiet">
        {t("bought.order")}
      </Link>
    </>
  );
}

const BOUGHT_TEXTS = {
  paid: "bought.text",
  collected: "bought.text_collected",
  free: "bought.text_free",
} as const;

export function BoughtUnits({ sale, order, mayBuyMore }: { sale: Sale; order: Order; mayBuyMore: number }) {
  const [wantsMore, setWantsMore] = useState(false);
  const total = formatMoney(order.total, locale());
  return (
    <>
      <p className="text-lg">{t(BOUGHT_TEXTS[orderPayment(order)], { count: order.quantity, total })}</p>
      <Link href={`/orders/${order.id}`} className="button button-quiet">
        {t("bought.order")}
      </Link>
      {mayBuyMore > 0 && !wantsMore && (
        <button
          type="button"
          className="text-link justify-self-start py-1"
          onClick={() => setWantsMore(true)}
        >
          {t("bought.more", { count: mayBuyMore })}
        </button>
      )}
      {mayBuyMore > 0 &&
        wantsMore &&
        (sale.admission.type === "fifo" ? (
          <JoinLine sale={sale} />
        ) : (
          <BuyForm sale={sale} quantityMax={mayBuyMore} label="open.buy" />
        ))}
    </>
  );
}
