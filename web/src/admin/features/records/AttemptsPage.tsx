// The attempts to join or to order in one sale, accepted or refused. Under load the server counts refusals per second; a row is either
// one attempt or such a count.

import { Notice } from "../../../components/Notices";
import { locale } from "../../../lib/i18n";
import { BuyerCell } from "../../components/BuyerCell";
import { SelectField } from "../../components/FilterFields";
import { RecordList } from "../../components/RecordList";
import { type Column, RecordTable } from "../../components/RecordTable";
import { SaleFrame } from "../../components/SaleFrame";
import { t } from "../../lib/texts";
import { formatTimestamp } from "../../lib/timestamps";
import { useFilters } from "../../lib/useFilters";
import { ATTEMPT_ACTIONS, ATTEMPT_CODES, describeAction, describeCode } from "./attemptTexts";
import { ATTEMPT_FILTERS } from "./filters";
import { type Attempt, useAttempts } from "./queries";

export function AttemptsPage({ id }: { id: string }) {
  return (
    <SaleFrame id={id} title={t("attempts.title")}>
      {() => <AttemptList id={id} />}
    </SaleFrame>
  );
}

function AttemptList({ id }: { id: string }) {
  const { values, bind } = useFilters(ATTEMPT_FILTERS);
  const query = useAttempts(id, values);
  const countedOnly = query.data?.pages[0]?.countedOnly ?? 0;
  const any = { value: "", text: t("attempts.any") };
  return (
    <>
      <search className="flex flex-wrap gap-4 pb-6">
        <SelectField
          filter={bind("code")}
          label={t("attempts.code")}
          options={[any, ...ATTEMPT_CODES.map((value) => ({ value, text: describeCode(value) }))]}
        />
        <SelectField
          filter={bind("action")}
          label={t("attempts.action")}
          options={[any, ...ATTEMPT_ACTIONS.map((value) => ({ value, text: describeAction(value) }))]}
        />
      </search>
      {countedOnly > 0 && (
        <div className="pb-6">
          <Notice>{t("attempts.counted", { count: countedOnly })}</Notice>
        </div>
      )}
      <RecordList query={query} emptyText={t("attempts.none")}>
        {(attempts, isStale) => (
          <RecordTable
            caption={t("attempts.title")}
            columns={attemptColumns()}
            rows={attempts}
            keyOf={(attempt) => attempt.id}
            isStale={isStale}
          />
        )}
      </RecordList>
    </>
  );
}

function attemptColumns(): Column<Attempt>[] {
  return [
    {
      key: "at",
      name: t("attempts.at"),
      cell: ({ at }) => <time dateTime={at}>{formatTimestamp(at, locale())}</time>,
    },
    {
      key: "buyer",
      name: t("attempts.buyer"),
      cell: ({ buyer, count }) =>
        buyer ? (
          <BuyerCell buyer={buyer} />
        ) : (
          <span className="text-soft">{t("attempts.many", { count })}</span>
        ),
    },
    { key: "action", name: t("attempts.action"), cell: ({ action }) => describeAction(action) },
    {
      key: "code",
      name: t("attempts.code"),
      cell: ({ code }) => (
        <span data-code={code} className={`font-semibold ${code === "accepted" ? "text-good" : "text-mark"}`}>
          {describeCode(code)}
        </span>
      ),
    },
    {
      key: "count",
      name: t("attempts.count"),
      isNumeric: true,
      cell: ({ count }) => new Intl.NumberFormat(locale()).format(count),
    },
  ];
}
