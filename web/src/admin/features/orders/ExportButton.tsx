// Saves all orders that match the filters as a CSV file.

import { ErrorNotice } from "../../../components/Notices";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { t } from "../../lib/texts";
import { download } from "./download";
import { type OrderFilters, orderQuery } from "./filters";

export function ExportButton({ filters }: { filters: OrderFilters }) {
  const save = useSubmitOnce({
    mutationFn: () => {
      const query = new URLSearchParams(Object.entries(orderQuery(filters)));
      const day = new Date().toISOString().slice(0, 10);
      return download(`/api/v1/admin/orders.csv?${query}`, `orders-${day}.csv`);
    },
  });
  return (
    <div className="grid justify-items-start gap-3 pb-6">
      <button
        type="button"
        className="button button-quiet"
        aria-disabled={save.isPending}
        onClick={() => save.submit()}
      >
        {save.isPending ? t("orders.exporting") : t("orders.export")}
      </button>
      <ErrorNotice error={save.error} />
    </div>
  );
}
