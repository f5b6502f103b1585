// What a buyer decides by, in the panel of every stage in which units can be had: the price, the units that are left, and the start.

import { Countdown } from "../../components/Countdown";
import type { Sale } from "../../lib/api";
import { locale, t } from "../../lib/i18n";
import { formatMoney } from "../../lib/money";
import { formatFullDateTime } from "../../lib/time";

/** The units that a buyer may still get: in a line those that are not sold, else those that nobody has. */
export function unitsLeft(sale: Sale): number {
  return sale.admission.type === "fifo" ? sale.quantity - sale.sold : sale.available;
}

interface Props {
  sale: Sale;
  /** What the buyer's place tells, which is newer than the sale. */
  left?: number | null | undefined;
}

export function PriceAndStock({ sale, left }: Props) {
  return (
    <p className="flex flex-wrap items-baseline gap-x-3 gap-y-1">
      <span className="figure text-2xl [overflow-wrap:anywhere]">
        {sale.price.amount === 0 ? t("price.free") : formatMoney(sale.price, locale())}
      </span>
      <span className="text-good">{t("open.left", { count: left ?? unitsLeft(sale) })}</span>
    </p>
  );
}

export function StartTime({ sale, now }: { sale: Sale; now: number | null }) {
  return (
    <div className="grid gap-2">
      <Countdown now={now} untilMs={Date.parse(sale.startsAt)} label="upcoming.starts_in" size="huge" />
      <p>{formatFullDateTime(sale.startsAt, locale())}</p>
    </div>
  );
}
