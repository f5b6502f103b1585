// The ledger of a sale as a timeline: everything that was decided, an event a sentence, with all that the ledger has of it
// on demand. It follows a sale that runs.

import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { ErrorNotice, LoadError } from "../../../components/Notices";
import type { Sale } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { ChoiceField, SearchField } from "../../components/FilterFields";
import { OfSale } from "../../components/OfSale";
import { Pager } from "../../components/Pager";
import { type Change, useFilters } from "../../lib/filters";
import { formatBeside, formatExact } from "../../lib/moments";
import { nameOf, type Person } from "../../lib/names";
import { LEDGER_FILTERS, type LedgerFilters } from "../../lib/recordFilters";
import { type LedgerEvent, useLedger } from "../../lib/recordQueries";
import { t } from "../../lib/texts";
import { KINDS, sentence } from "./sentences";

export function LedgerPage({ id }: { id: string }) {
  return (
    <OfSale id={id} title={t("ledger.title")}>
      {(sale) => <Ledger sale={sale} />}
    </OfSale>
  );
}

function Ledger({ sale }: { sale: Sale }) {
  const [filters, change] = useFilters(LEDGER_FILTERS);
  const isOver = sale.status === "ended" || sale.status === "closed";
  // Where new events appear: at the newest end, unless it was left for an earlier event.
  const isAtEnd = filters.order !== "asc" && filters.seq === "";
  const isLive = isAtEnd && !isOver;
  const query = useLedger(sale.id, filters, isLive);
  const { data, error, isPending, isPlaceholderData, refetch } = query;
  const seen = useRef(sale.version);
  useEffect(() => {
    // Also after the end something may happen: holds run out, orders are refunded.
    if (seen.current !== sale.version && isAtEnd) void refetch();
    seen.current = sale.version;
  }, [sale.version, isAtEnd, refetch]);
  const events = data?.pages.flatMap((page) => page.items) ?? [];
  const people = new Map(data?.pages.flatMap((page) => page.people.map((person) => [person.id, person])));
  return (
    <>
      <Fields filters={filters} change={change} />
      <p className="pb-6 text-sm text-soft">
        {t("ledger.count", { count: Math.max(sale.version, events[0]?.seq ?? 0) })}{" "}
        {isLive && t("ledger.live")}
      </p>
      {isPending && <div className="skeleton h-64" aria-busy="true" />}
      {!isPending && data === undefined && <LoadError error={error} onRetry={() => void refetch()} />}
      {data && (
        <>
          <ErrorNotice error={error} />
          <ol aria-label={t("ledger.title")} aria-busy={isPlaceholderData} className="timeline">
            {events.map((event) => (
              <Entry key={event.seq} event={event} person={people.get(event.buyerId ?? "")} />
            ))}
          </ol>
          <Pager count={events.length} none={t("ledger.none")} query={query} />
        </>
      )}
    </>
  );
}

function Fields({ filters, change }: { filters: LedgerFilters; change: Change<keyof LedgerFilters> }) {
  const [search] = useState(() => (who: string, isOngoing: boolean) => change({ who }, isOngoing));
  return (
    <search className="flex flex-wrap items-start gap-4 pb-4">
      <SearchField
        label={t("ledger.who")}
        hint={t("ledger.who_hint")}
        value={filters.who}
        onSearch={search}
      />
      <ChoiceField
        label={t("ledger.kind")}
        value={filters.kind}
        options={[
          { value: "", text: t("ledger.any") },
          ...KINDS.map((value) => ({ value, text: t(`ledger.kind.${value}`) })),
        ]}
        onChoose={(kind) => change({ kind })}
      />
      <ChoiceField
        label={t("ledger.order")}
        value={filters.order === "asc" ? "asc" : ""}
        options={[
          { value: "", text: t("ledger.order.desc") },
          { value: "asc", text: t("ledger.order.asc") },
        ]}
        onChoose={(order) => change({ order })}
      />
      <Jump key={filters.seq} seq={filters.seq} onJump={(seq) => change({ seq })} />
    </search>
  );
}

function Jump({ seq, onJump }: { seq: string; onJump: (seq: string) => void }) {
  const id = useId();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    onJump(String(new FormData(event.currentTarget).get("seq") ?? "").trim());
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

function Entry({ event, person }: { event: LedgerEvent; person: Person | undefined }) {
  const { key, values } = sentence(event, {
    who: event.buyerId ? nameOf(event.buyerId, person) : "",
    time: (iso) => formatBeside(iso, event.at, locale()),
    money: (price) => formatMoney(price, locale()),
  });
  return (
    <li data-seq={event.seq} data-kind={event.kind}>
      <p className="flex flex-wrap gap-x-3 text-sm text-soft tabular-nums">
        <span>{t("ledger.number", { count: event.seq })}</span>
        <time dateTime={event.at}>{formatExact(event.at, locale())}</time>
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
