// The price of a sale beside the list price of its product.

import type { Sale } from "../lib/api";
import { locale, t } from "../lib/i18n";
import { formatMoney, percentOff } from "../lib/money";

export function Price({ sale, className = "text-3xl" }: { sale: Sale; className?: string }) {
  const off = percentOff(sale.price, sale.listPrice);
  return (
    <p className="flex flex-wrap items-baseline gap-x-3 gap-y-1 [overflow-wrap:anywhere]">
      <span className={`figure ${className}`}>
        {sale.price.amount === 0 ? t("price.free") : formatMoney(sale.price, locale())}
      </span>
      {off > 0 && (
        <>
          <span className="text-soft">
            <span className="sr-only">{t("price.instead")} </span>
            <s>{formatMoney(sale.listPrice, locale())}</s>
          </span>
          <span className="rounded bg-warn px-2 text-sm font-semibold">
            {t("price.off", { percent: off })}
          </span>
        </>
      )}
    </p>
  );
}
