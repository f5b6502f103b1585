// The mails of the buyer's address: whether it is confirmed, and the sales of which it gets mails, each with a way to end them.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import type { components } from "../../api/schema";
import { ErrorNotice } from "../../components/Notices";
import { client, unwrapReply } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { isolateText } from "../../lib/isolateText";
import { queryKeys } from "../../lib/queryKeys";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { t } from "./mailTexts";

type Reminder = components["schemas"]["OwnReminder"];

const QUERY_KEY = [...queryKeys.own, "reminders"] as const;

export default function OwnMails() {
  const { data, error } = useQuery({
    queryKey: QUERY_KEY,
    queryFn: () => unwrapReply(client.GET("/api/v1/reminders")),
  });
  const [ended, setEnded] = useState("");
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    // The button that had the focus is gone.
    if (ended !== "") heading.current?.focus();
  }, [ended]);
  return (
    <section className="grid gap-4 border-t border-line pt-6" data-own-mails={data?.items.length}>
      <h2 ref={heading} tabIndex={-1} className="text-2xl">
        {t("mails.title")}
      </h2>
      <ErrorNotice error={error} />
      {data !== undefined && (
        <>
          {data.isConfirmed ? (
            <p className="font-semibold text-good">{t("mails.confirmed")}</p>
          ) : (
            <p>
              {t("mails.unconfirmed")}{" "}
              <Link href="/confirm-address" className="text-link font-semibold">
                {t("mails.confirm")}
              </Link>
            </p>
          )}
          {data.isConfirmed && data.items.length === 0 && <p className="text-soft">{t("mails.none")}</p>}
          {data.items.length > 0 && (
            <ul className="divide-y divide-line rounded-xl border border-line bg-card">
              {data.items.map((reminder) => (
                <ReminderRow key={reminder.id} reminder={reminder} onEnd={setEnded} />
              ))}
            </ul>
          )}
          <p role="status" className={ended === "" ? "sr-only" : "text-good"}>
            {ended}
          </p>
        </>
      )}
    </section>
  );
}

interface RowProps {
  reminder: Reminder;
  onEnd: (text: string) => void;
}

function ReminderRow({ reminder, onEnd }: RowProps) {
  const queries = useQueryClient();
  const { id, slug, product } = reminder;
  const name = isolateText(product);
  const { submit, isPending, error } = useSubmitOnce({
    mutationFn: async () => {
      const { error, response } = await client.DELETE("/api/v1/reminders/{id}", { params: { path: { id } } });
      if (!response.ok) throw new ApiError(response, (error ?? {}) as ApiError["body"]);
    },
    onSuccess: () => {
      onEnd(t("mails.ended", { product: name }));
      return queries.invalidateQueries({ queryKey: QUERY_KEY });
    },
  });
  return (
    <li className="grid justify-items-start gap-2 px-4 py-3">
      <div className="min-w-0 [overflow-wrap:anywhere]">
        <Link href={`/s/${encodeURIComponent(slug)}`} className="text-link font-semibold">
          <bdi>{product}</bdi>
        </Link>
        <p className="text-sm text-soft">{t(reminder.topic === "unit" ? "mails.unit" : "mails.start")}</p>
      </div>
      <button
        type="button"
        className="button button-quiet"
        aria-disabled={isPending}
        onClick={() => submit()}
      >
        {t("mails.end")}
        <span className="sr-only"> {t("mails.end_of", { product: name })}</span>
      </button>
      <ErrorNotice error={error} />
    </li>
  );
}
