// A sale's price beside what the product costs otherwise.

import type { Sale } from "../lib/api";
import { language, t } from "../lib/i18n";
import { formatMoney, percentOff } from "../lib/money";

export function Price({ sale, className = "text-3xl" }: { sale: Sale; className?: string }) {
  const off = percentOff(sale.price, sale.listPrice);
  return (
    <p className="flex flex-wrap items-baseline gap-x-3 gap-y-1">
      <span className={`figure ${className}`}>{formatMoney(sale.price, language())}</span>
      {off > 0 && (
        <>
          <span className="text-soft">
            <span className="sr-only">{t("price.instead")} </span>
            <s>{formatMoney(sale.listPrice, language())}</s>
          </span>
          <span className="rounded bg-warn px-2 text-sm font-semibold">
            {t("price.off", { percent: off })}
          </span>
        </>
      )}
    </p>
  );
}
