// The buyer's own units in this sale, held or bought.

import { useState } from "react";
import { Link } from "wouter";
import { Countdown } from "../../components/Countdown";
import type { Order, Sale } from "../../lib/api";
import { locale, t } from "../../lib/i18n";
import { formatMoney } from "../../lib/money";
import { BuyForm } from "./BuyForm";
import { JoinLine } from "./WaitingLine";

export function HeldUnits({ order, untilMs, now }: { order: Order; untilMs: number; now: number }) {
  return (
    <>
      <Countdown now={now} untilMs={untilMs} label="held.left" />
      <p>{t("held.text", { count: order.quantity, total: formatMoney(order.total, locale()) })}</p>
      <Link href={`/orders/${order.id}`} className="button button-main text-lg">
        {t("held.pay")}
      </Link>
    </>
  );
}

export function BoughtUnits({ sale, order, mayBuyMore }: { sale: Sale; order: Order; mayBuyMore: number }) {
  const [wantsMore, setWantsMore] = useState(false);
  return (
    <>
      <p className="text-lg">
        {t("bought.text", { count: order.quantity, total: formatMoney(order.total, locale()) })}
      </p>
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
