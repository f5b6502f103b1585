// What the buyer already has in this sale: a unit that is held, or one that is bought.

import { useState } from "react";
import { Link } from "wouter";
import { Timer } from "../../components/Timer";
import type { Order, Sale } from "../../lib/api";
import { language, t } from "../../lib/i18n";
import { formatMoney } from "../../lib/money";
import { Buy } from "./Buy";
import { Join } from "./Queue";

export function Held({ order, untilMs, now }: { order: Order; untilMs: number; now: number }) {
  return (
    <>
      <Timer now={now} untilMs={untilMs} label="held.left" />
      <p>{t("held.text", { count: order.quantity, total: formatMoney(order.total, language()) })}</p>
      <Link href={`/orders/${order.id}`} className="button button-main text-lg">
        {t("held.pay")}
      </Link>
    </>
  );
}

export function Bought({ sale, order, mayBuyMore }: { sale: Sale; order: Order; mayBuyMore: number }) {
  const [wantsMore, setWantsMore] = useState(false);
  return (
    <>
      <p className="text-lg">
        {t("bought.text", { count: order.quantity, total: formatMoney(order.total, language()) })}
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
          <Join sale={sale} />
        ) : (
          <Buy sale={sale} most={mayBuyMore} label="open.buy" />
        ))}
    </>
  );
}
