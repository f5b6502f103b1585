// Saves all orders that the filters let pass as a table for a spreadsheet.

import { ErrorNotice } from "../../../components/Notices";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { download } from "../../lib/download";
import { type OrderFilters, orderQuery } from "../../lib/recordFilters";
import { t } from "../../lib/texts";

export function Export({ filters }: { filters: OrderFilters }) {
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
