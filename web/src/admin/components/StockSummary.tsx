// The units of a sale as a bar and as text.

import type { Sale } from "../../lib/api";
import { t } from "../lib/texts";

export function StockSummary({ sale }: { sale: Sale }) {
  // Units that are reserved for admitted buyers.
  const admitted = Math.max(0, sale.quantity - sale.available - sale.held - sale.sold);
  const parts = [
    { name: "sold", units: sale.sold, color: "bg-good" },
    { name: "taken", units: sale.held + admitted, color: "bg-mark" },
  ];
  return (
    <div className="grid gap-1.5">
      <div className="flex h-2 overflow-hidden rounded-full bg-line" aria-hidden="true">
        {parts.map(({ name, units, color }) => (
          <span key={name} className={color} style={{ width: `${(units / sale.quantity) * 100}%` }} />
        ))}
      </div>
      <p className="text-sm text-soft tabular-nums">
        {t("catalogue.stock", {
          sold: sale.sold,
          taken: sale.held + admitted,
          free: sale.available,
        })}
        {sale.waiting > 0 && ` · ${t("catalogue.waiting", { count: sale.waiting })}`}
      </p>
    </div>
  );
}
