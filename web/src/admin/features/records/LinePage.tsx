// Who stands in line, in its order; where one buyer stands; and whether a receipt that somebody shows is genuine.

import { useState } from "react";
import { ErrorNotice, LoadError } from "../../../components/Notices";
import type { Sale } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { SearchField } from "../../components/FilterFields";
import { OfSale } from "../../components/OfSale";
import { Pager } from "../../components/Pager";
import { type Column, Table } from "../../components/Table";
import { Who } from "../../components/Who";
import { useFilters } from "../../lib/filters";
import { formatBeside } from "../../lib/moments";
import { type Member, useLine } from "../../lib/recordQueries";
import { t } from "../../lib/texts";
import { ReceiptCheck } from "./ReceiptCheck";

const FILTERS = ["buyer"] as const;

export function LinePage({ id }: { id: string }) {
  return (
    <OfSale id={id} title={t("line.title")}>
      {(sale) => (
        <div className="grid items-start gap-10 lg:grid-cols-[1fr_20rem]">
          <Line sale={sale} />
          <ReceiptCheck saleId={sale.id} />
        </div>
      )}
    </OfSale>
  );
}

function Line({ sale }: { sale: Sale }) {
  const [{ buyer }, change] = useFilters(FILTERS);
  const [search] = useState(() => (text: string, isOngoing: boolean) => change({ buyer: text }, isOngoing));
  const query = useLine(sale.id, buyer);
  const { data, error, isPending, isPlaceholderData, refetch } = query;
  const members = data?.pages.flatMap((page) => page.items) ?? [];
  // Where the whole line is shown, its own count is newer than the sale's.
  const isWhole = data !== undefined && !query.hasNextPage && buyer === "" && !isPlaceholderData;
  const waiting = isWhole ? members.filter(({ position }) => position).length : sale.waiting;
  return (
    <section aria-label={t("line.title")} className="min-w-0">
      <p className="pb-4 text-lg">{t("line.waiting", { count: waiting })}</p>
      <search className="flex pb-6">
        <SearchField label={t("line.search")} hint={t("line.search_hint")} value={buyer} onSearch={search} />
      </search>
      {isPending && <div className="skeleton h-64" aria-busy="true" />}
      {!isPending && data === undefined && <LoadError error={error} onRetry={() => void refetch()} />}
      {data && (
        <>
          <ErrorNotice error={error} />
          {members.length > 0 && (
            <Table
              caption={t("line.title")}
              columns={columns(sale)}
              rows={members}
              keyOf={({ ticket }) => String(ticket)}
              isStale={isPlaceholderData}
            />
          )}
          <Pager
            count={members.length}
            none={buyer === "" ? t("line.none") : t("line.not_in_line")}
            query={query}
          />
        </>
      )}
    </section>
  );
}

function columns(sale: Sale): Column<Member>[] {
  const number = new Intl.NumberFormat(locale());
  return [
    { key: "ticket", name: t("line.ticket"), cell: ({ ticket }) => number.format(ticket) },
    { key: "buyer", name: t("line.buyer"), cell: ({ buyer }) => <Who buyer={buyer} /> },
    {
      key: "position",
      name: t("line.position"),
      isFigure: true,
      cell: ({ position }) => (position ? number.format(position) : "–"),
    },
    {
      key: "status",
      name: t("line.status"),
      cell: ({ admittedUntil }) =>
        admittedUntil ? (
          <span className="font-semibold text-good">
            {t("line.admitted_until", { time: formatBeside(admittedUntil, sale.serverTime, locale()) })}
          </span>
        ) : (
          t("line.waits")
        ),
    },
  ];
}
