// The mails of 90 days: what became of each, and sending again what did not arrive.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client, unwrapReply } from "../../../lib/api";
import { ApiError } from "../../../lib/errors";
import { locale } from "../../../lib/i18n";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { SelectField } from "../../components/FilterFields";
import { FormError } from "../../components/FormError";
import { RecordList } from "../../components/RecordList";
import { type Column, RecordTable } from "../../components/RecordTable";
import { ResendFailed } from "../../components/ResendFailed";
import { adminKeys } from "../../lib/adminCache";
import { t } from "../../lib/texts";
import { formatTimestamp } from "../../lib/timestamps";
import { useFilters } from "../../lib/useFilters";
import { isResendable, MAIL_STATES, mailKindText, mailStateText } from "./mailTexts";
import { MAIL_FILTERS, type Mail, useMails } from "./queries";

export function MailList() {
  const queries = useQueryClient();
  const { values, bind } = useFilters(MAIL_FILTERS);
  const query = useMails(values);
  const [result, setResult] = useState("");
  const refresh = () => queries.invalidateQueries({ queryKey: adminKeys.everyMail });
  const resend = useSubmitOnce<void, string>({
    mutationFn: async (id) => {
      const params = { path: { id } };
      const { error, response } = await client.POST("/api/v1/admin/mails/{id}/resend", { params });
      if (!response.ok) throw new ApiError(response, (error ?? {}) as ApiError["body"]);
    },
    onSuccess: () => {
      setResult(t("mail.resent"));
      return refresh();
    },
  });
  return (
    <section aria-labelledby="mails" className="grid gap-4">
      <h2 id="mails" className="text-xl">
        {t("mail.title")}
      </h2>
      <div className="flex flex-wrap items-end justify-between gap-4">
        <search className="flex flex-wrap gap-4">
          <SelectField
            filter={bind("state")}
            label={t("mail.state")}
            options={[
              { value: "", text: t("mail.state.any") },
              ...MAIL_STATES.map((value) => ({ value, text: mailStateText(value) })),
            ]}
          />
        </search>
        <ResendFailed
          label={t("mail.failed_since")}
          buttonText={t("mail.resend_failed")}
          resend={(since) =>
            unwrapReply(client.POST("/api/v1/admin/mails/resend-failed", { body: { since } }))
          }
          onDone={(count) => {
            setResult(t("mail.resent_failed", { count }));
            return refresh();
          }}
        />
      </div>
      <p role="status" className={result === "" ? "sr-only" : "text-good"}>
        {result}
      </p>
      <FormError error={resend.error} />
      <RecordList query={query} emptyText={t(values.state === "" ? "mail.none_yet" : "mail.none")}>
        {(mails, isStale) => (
          <RecordTable
            caption={t("mail.title")}
            columns={mailColumns(resend.submit)}
            rows={mails}
            keyOf={(mail) => mail.id}
            isStale={isStale}
          />
        )}
      </RecordList>
    </section>
  );
}

function mailColumns(resend: (id: string) => void): Column<Mail>[] {
  return [
    { key: "kind", name: t("mail.kind"), cell: ({ kind }) => mailKindText(kind) },
    {
      key: "recipient",
      name: t("mail.recipient"),
      cell: ({ recipient }) => (
        <bdi dir="ltr" className="[overflow-wrap:anywhere]">
          {recipient}
        </bdi>
      ),
    },
    {
      key: "made",
      name: t("mail.made"),
      cell: ({ createdAt }) => <time dateTime={createdAt}>{formatTimestamp(createdAt, locale())}</time>,
    },
    { key: "state", name: t("mail.state"), cell: (mail) => <MailStatus mail={mail} /> },
    {
      key: "tries",
      name: t("mail.tries"),
      isNumeric: true,
      cell: ({ tries }) => new Intl.NumberFormat(locale()).format(tries),
    },
    {
      key: "actions",
      name: t("mail.actions"),
      cell: ({ id, state, recipient }) =>
        isResendable(state) && (
          <button type="button" className="text-link md:py-1" onClick={() => resend(id)}>
            {t("mail.resend")}
            <span className="sr-only"> {recipient}</span>
          </button>
        ),
    },
  ];
}

function MailStatus({ mail }: { mail: Mail }) {
  const { state, nextTryAt, tries, reason } = mail;
  const colour = state === "sent" ? "text-good" : isResendable(state) ? "text-mark" : "";
  return (
    <span data-mail-state={state}>
      <span className={`font-semibold ${colour}`}>{mailStateText(state)}</span>
      {nextTryAt && tries > 0 && (
        <span className="block text-sm text-soft">
          {t("mail.next_try", { time: formatTimestamp(nextTryAt, locale()) })}
        </span>
      )}
      {reason && (
        <bdi dir="ltr" className="block text-sm text-soft [overflow-wrap:anywhere] rtl:text-right">
          {reason}
        </bdi>
      )}
    </span>
  );
}
