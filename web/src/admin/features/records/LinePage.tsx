// The line of one sale in its order, the position of one buyer, and the check of a receipt.

import type { Sale } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { BuyerCell } from "../../components/BuyerCell";
import { SearchField } from "../../components/FilterFields";
import { RecordList } from "../../components/RecordList";
import { type Column, RecordTable } from "../../components/RecordTable";
import { SaleFrame } from "../../components/SaleFrame";
import { t } from "../../lib/texts";
import { formatTimeNear } from "../../lib/timestamps";
import { useFilters } from "../../lib/useFilters";
import { type LineMember, useLine } from "./queries";
import { ReceiptCheck } from "./ReceiptCheck";

const LINE_FILTERS = ["buyer"] as const;

export function LinePage({ id }: { id: string }) {
  return (
    <SaleFrame id={id} title={t("line.title")}>
      {(sale) => (
        <div className="grid items-start gap-10 lg:grid-cols-[1fr_20rem]">
          <LineList sale={sale} />
          <ReceiptCheck saleId={sale.id} />
        </div>
      )}
    </SaleFrame>
  );
}

function LineList({ sale }: { sale: Sale }) {
  const { values, bind } = useFilters(LINE_FILTERS);
  const isSearch = values.buyer !== "";
  const query = useLine(sale.id, values.buyer);
  const members = query.data?.pages.flatMap((page) => page.items) ?? [];
  // A list that shows the whole line is newer than the sale's own count.
  const isWhole = query.data !== undefined && !query.hasNextPage && !isSearch && !query.isPlaceholderData;
  const waiting = isWhole ? members.filter(({ position }) => position).length : sale.waiting;
  return (
    <section aria-label={t("line.title")} className="min-w-0">
      <p className="pb-4 text-lg">{t("line.waiting", { count: waiting })}</p>
      <search className="flex pb-6">
        <SearchField filter={bind("buyer")} label={t("line.search")} hint={t("line.search_hint")} />
      </search>
      <RecordList query={query} emptyText={t(isSearch ? "line.not_in_line" : "line.none")}>
        {(members, isStale) => (
          <RecordTable
            caption={t("line.title")}
            columns={lineColumns(sale)}
            rows={members}
            keyOf={({ ticket }) => String(ticket)}
            isStale={isStale}
          />
        )}
      </RecordList>
    </section>
  );
}

function lineColumns(sale: Sale): Column<LineMember>[] {
  const number = new Intl.NumberFormat(locale());
  return [
    { key: "ticket", name: t("line.ticket"), cell: ({ ticket }) => number.format(ticket) },
    { key: "buyer", name: t("line.buyer"), cell: ({ buyer }) => <BuyerCell buyer={buyer} /> },
    {
      key: "position",
      name: t("line.position"),
      isNumeric: true,
      cell: ({ position }) => (position ? number.format(position) : "–"),
    },
    {
      key: "status",
      name: t("line.status"),
      cell: ({ admittedUntil }) =>
        admittedUntil ? (
          <span className="font-semibold text-good">
            {t("line.admitted_until", { time: formatTimeNear(admittedUntil, sale.serverTime, locale()) })}
          </span>
        ) : (
          t("line.waits")
        ),
    },
  ];
}
