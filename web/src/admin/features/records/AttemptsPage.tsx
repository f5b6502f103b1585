// Every request to buy, accepted or refused. In a flood refusals are counted by second; a row says which of the two it is.

import { ErrorNotice, LoadError, Notice } from "../../../components/Notices";
import { locale } from "../../../lib/i18n";
import { ChoiceField } from "../../components/FilterFields";
import { OfSale } from "../../components/OfSale";
import { Pager } from "../../components/Pager";
import { type Column, Table } from "../../components/Table";
import { Who } from "../../components/Who";
import { useFilters } from "../../lib/filters";
import { formatExact } from "../../lib/moments";
import { ATTEMPT_FILTERS } from "../../lib/recordFilters";
import { type Attempt, useAttempts } from "../../lib/recordQueries";
import { t } from "../../lib/texts";
import { ACTIONS, actionKey, CODES, codeKey } from "./codes";

export function AttemptsPage({ id }: { id: string }) {
  return (
    <OfSale id={id} title={t("attempts.title")}>
      {() => <Attempts id={id} />}
    </OfSale>
  );
}

function Attempts({ id }: { id: string }) {
  const [filters, change] = useFilters(ATTEMPT_FILTERS);
  const query = useAttempts(id, filters);
  const { data, error, isPending, isPlaceholderData, refetch } = query;
  const attempts = data?.pages.flatMap((page) => page.items) ?? [];
  const countedOnly = data?.pages[0]?.countedOnly ?? 0;
  const word = (value: string) => {
    const key = codeKey(value) ?? actionKey(value);
    return { value, text: key ? t(key) : value };
  };
  return (
    <>
      <search className="flex flex-wrap gap-4 pb-6">
        <ChoiceField
          label={t("attempts.code")}
          value={filters.code}
          options={[{ value: "", text: t("attempts.any") }, ...CODES.map(word)]}
          onChoose={(code) => change({ code })}
        />
        <ChoiceField
          label={t("attempts.action")}
          value={filters.action}
          options={[{ value: "", text: t("attempts.any") }, ...ACTIONS.map(word)]}
          onChoose={(action) => change({ action })}
        />
      </search>
      {isPending && <div className="skeleton h-64" aria-busy="true" />}
      {!isPending && data === undefined && <LoadError error={error} onRetry={() => void refetch()} />}
      {countedOnly > 0 && (
        <div className="pb-6">
          <Notice>{t("attempts.counted", { count: countedOnly })}</Notice>
        </div>
      )}
      {data && (
        <>
          <ErrorNotice error={error} />
          {attempts.length > 0 && (
            <Table
              caption={t("attempts.title")}
              columns={columns()}
              rows={attempts}
              keyOf={(attempt) => attempt.id}
              isStale={isPlaceholderData}
            />
          )}
          <Pager count={attempts.length} none={t("attempts.none")} query={query} />
        </>
      )}
    </>
  );
}

function columns(): Column<Attempt>[] {
  const words = (key: ReturnType<typeof codeKey>, word: string) => (key ? t(key) : word);
  return [
    {
      key: "at",
      name: t("attempts.at"),
      cell: ({ at }) => <time dateTime={at}>{formatExact(at, locale())}</time>,
    },
    {
      key: "buyer",
      name: t("attempts.buyer"),
      cell: ({ buyer, count }) =>
        buyer ? <Who buyer={buyer} /> : <span className="text-soft">{t("attempts.many", { count })}</span>,
    },
    { key: "action", name: t("attempts.action"), cell: ({ action }) => words(actionKey(action), action) },
    {
      key: "code",
      name: t("attempts.code"),
      cell: ({ code }) => (
        <span
          data-code={code}
          className={code === "accepted" ? "font-semibold text-good" : "font-semibold text-mark"}
        >
          {words(codeKey(code), code)}
        </span>
      ),
    },
    {
      key: "count",
      name: t("attempts.count"),
      isFigure: true,
      cell: ({ count }) => new Intl.NumberFormat(locale()).format(count),
    },
  ];
}
