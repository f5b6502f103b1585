// The ledger of one sale as a timeline: one sentence per event, with all recorded fields on demand. The list follows a sale that is
// not over.

import { type FormEvent, useEffect, useId, useRef } from "react";
import type { Sale } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { isSaleOver } from "../../../lib/saleStatus";
import { SearchField, SelectField } from "../../components/FilterFields";
import { RecordList } from "../../components/RecordList";
import { SaleFrame } from "../../components/SaleFrame";
import { type Buyer, buyerName } from "../../lib/buyerName";
import { t } from "../../lib/texts";
import { formatTimeNear, formatTimestamp } from "../../lib/timestamps";
import { type FilterState, useFilters } from "../../lib/useFilters";
import { describeEvent, EVENT_KINDS } from "./describeEvent";
import { LEDGER_FILTERS, type LedgerFilters } from "./filters";
import { type LedgerEvent, useLedger } from "./queries";

export function LedgerPage({ id }: { id: string }) {
  return (
    <SaleFrame id={id} title={t("ledger.title")}>
      {(sale) => <LedgerList sale={sale} />}
    </SaleFrame>
  );
}

function LedgerList({ sale }: { sale: Sale }) {
  const filters = useFilters(LEDGER_FILTERS);
  // New events appear on the first page of the descending order, unless it starts at an earlier event.
  const showsNewest = filters.values.order !== "asc" && filters.values.seq === "";
  const isLive = showsNewest && !isSaleOver(sale);
  const query = useLedger(sale.id, filters.values, isLive);
  const { data, refetch } = query;
  const shownVersion = useRef(sale.version);
  useEffect(() => {
    // Events can follow the end of a sale: holds expire, orders are refunded.
    if (shownVersion.current !== sale.version && showsNewest) void refetch();
    shownVersion.current = sale.version;
  }, [sale.version, showsNewest, refetch]);
  const buyers = new Map(data?.pages.flatMap((page) => page.people.map((buyer) => [buyer.id, buyer])));
  return (
    <>
      <LedgerFilterFields filters={filters} />
      <p className="pb-6 text-sm text-soft">
        {t("ledger.count", { count: Math.max(sale.version, data?.pages[0]?.items[0]?.seq ?? 0) })}{" "}
        {isLive && t("ledger.live")}
      </p>
      <RecordList query={query} emptyText={t("ledger.none")}>
        {(events, isStale) => (
          <ol aria-label={t("ledger.title")} aria-busy={isStale} className="timeline">
            {events.map((event) => (
              <LedgerEntry key={event.seq} event={event} buyer={buyers.get(event.buyerId ?? "")} />
            ))}
          </ol>
        )}
      </RecordList>
    </>
  );
}

function LedgerFilterFields({ filters }: { filters: FilterState<keyof LedgerFilters> }) {
  const { values, change, bind } = filters;
  return (
    <search className="flex flex-wrap items-start gap-4 pb-4">
      <SearchField filter={bind("who")} label={t("ledger.who")} hint={t("ledger.who_hint")} />
      <SelectField
        filter={bind("kind")}
        label={t("ledger.kind")}
        options={[
          { value: "", text: t("ledger.any") },
          ...EVENT_KINDS.map((value) => ({ value, text: t(`ledger.kind.${value}`) })),
        ]}
      />
      <SelectField
        filter={{ ...bind("order"), value: values.order === "asc" ? "asc" : "" }}
        label={t("ledger.order")}
        options={[
          { value: "", text: t("ledger.order.desc") },
          { value: "asc", text: t("ledger.order.asc") },
        ]}
      />
      <SequenceField key={values.seq} seq={values.seq} onSubmit={(seq) => change({ seq })} />
    </search>
  );
}

function SequenceField({ seq, onSubmit }: { seq: string; onSubmit: (seq: string) => void }) {
  const id = useId();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    onSubmit(String(new FormData(event.currentTarget).get("seq") ?? "").trim());
  };
  return (
    <form className="grid flex-[1_1_12rem] content-start gap-1" onSubmit={submit}>
      <label htmlFor={id} className="text-sm font-semibold">
        {t("ledger.seq")}
      </label>
      <div className="flex gap-2">
        <input
          id={id}
          name="seq"
          inputMode="numeric"
          pattern="[0-9]{1,15}"
          autoComplete="off"
          defaultValue={seq}
          className="field min-w-0"
        />
        <button type="submit" className="button button-quiet px-4">
          {t("ledger.jump")}
        </button>
      </div>
    </form>
  );
}

function LedgerEntry({ event, buyer }: { event: LedgerEvent; buyer: Buyer | undefined }) {
  const { key, values } = describeEvent(event, {
    who: event.buyerId ? buyerName(event.buyerId, buyer) : "",
    time: (iso) => formatTimeNear(iso, event.at, locale()),
    money: (price) => formatMoney(price, locale()),
  });
  return (
    <li data-seq={event.seq} data-kind={event.kind}>
      <p className="flex flex-wrap gap-x-3 text-sm text-soft tabular-nums">
        <span>{t("ledger.number", { count: event.seq })}</span>
        <time dateTime={event.at}>{formatTimestamp(event.at, locale())}</time>
      </p>
      <p className="[overflow-wrap:anywhere]">{t(key, values)}</p>
      <details>
        <summary className="inline-block py-1 text-sm text-soft underline underline-offset-3">
          {t("ledger.raw")}
          <span className="sr-only"> {t("ledger.number", { count: event.seq })}</span>
        </summary>
        <pre
          dir="ltr"
          className="mt-1 rounded-lg bg-card p-3 text-sm whitespace-pre-wrap [overflow-wrap:anywhere]"
        >
          {JSON.stringify(event, null, 2)}
        </pre>
      </details>
    </li>
  );
}
