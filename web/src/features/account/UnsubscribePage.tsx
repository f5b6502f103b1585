// Ends the mails about a sale, with the link of one of them. It waits for a press: programs that look at mails open links, too.

import { useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import { ErrorNotice, Notice } from "../../components/Notices";
import { client } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { t as shopText } from "../../lib/i18n";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { useTitle } from "../../lib/useTitle";
import { useMailedToken } from "./mailedToken";
import { t } from "./mailTexts";

export default function UnsubscribePage() {
  const token = useMailedToken();
  const [isDone, setDone] = useState(false);
  const title = t(isDone ? "unsubscribe.done_title" : "unsubscribe.title");
  useTitle(title);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (isDone) heading.current?.focus();
  }, [isDone]);
  const { submit, isPending, error } = useSubmitOnce({
    mutationFn: async () => {
      const query = { token: token ?? "" };
      const { error, response } = await client.POST("/api/v1/reminders/unsubscribe", { params: { query } });
      if (!response.ok) throw new ApiError(response, (error ?? {}) as ApiError["body"]);
    },
    onSuccess: () => setDone(true),
  });
  return (
    <div className="mx-auto grid max-w-md justify-items-start gap-5 pt-6">
      <h1 ref={heading} tabIndex={-1} className="page-title">
        {title}
      </h1>
      {token === null && <Notice>{t("unsubscribe.no_link")}</Notice>}
      {token !== null && <p>{t(isDone ? "unsubscribe.done" : "unsubscribe.text")}</p>}
      <ErrorNotice error={error} />
      {token !== null && !isDone && (
        <button
          type="button"
          className="button button-main"
          aria-disabled={isPending}
          onClick={() => submit()}
        >
          {isPending ? shopText("account.asking") : t("unsubscribe.button")}
        </button>
      )}
      <Link href="/" className="text-link font-semibold">
        {t("confirm.shop")}
      </Link>
    </div>
  );
}
