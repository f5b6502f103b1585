// Confirms the address of an account with a link from a mail. It waits for a press: programs that look at mails open links, too.

import { useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import { ErrorNotice, Notice } from "../../components/Notices";
import { client } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { t as shopText } from "../../lib/i18n";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { useTitle } from "../../lib/useTitle";
import { EMAIL } from "./accountFields";
import { FieldForm } from "./FieldForm";
import { useMailedToken } from "./mailedToken";
import { t } from "./mailTexts";

interface ShownResult {
  title: string;
  text: string;
}

export default function ConfirmAddressPage() {
  const token = useMailedToken();
  const [result, setResult] = useState<ShownResult | null>(null);
  useTitle(t("confirm.title"));
  if (result !== null) return <ResultText result={result} />;
  return (
    <div className="mx-auto grid max-w-md gap-6 pt-6">
      <h1 className="page-title">{t("confirm.title")}</h1>
      {token === null ? (
        <AnotherLink onResult={setResult} />
      ) : (
        <ConfirmButton token={token} onResult={setResult} />
      )}
    </div>
  );
}

function ConfirmButton({ token, onResult }: { token: string; onResult: (result: ShownResult) => void }) {
  const { submit, isPending, error } = useSubmitOnce({
    mutationFn: () => sendVerify({ token }),
    onSuccess: () => onResult({ title: t("confirm.done_title"), text: t("confirm.done") }),
  });
  if (error instanceof ApiError && error.code === "bad_mail_token")
    return <AnotherLink onResult={onResult} />;
  return (
    <>
      <p className="text-soft">{t("confirm.text")}</p>
      <ErrorNotice error={error} />
      <button
        type="button"
        className="button button-main text-lg"
        aria-disabled={isPending}
        onClick={() => submit()}
      >
        {isPending ? shopText("account.asking") : t("confirm.button")}
      </button>
    </>
  );
}

function AnotherLink({ onResult }: { onResult: (result: ShownResult) => void }) {
  return (
    <>
      <Notice>{t("confirm.no_link")}</Notice>
      <FieldForm
        fields={[EMAIL]}
        label={t("confirm.send")}
        send={async ({ email = "" }) => {
          await sendVerify({ email: email.trim() });
          return email.trim();
        }}
        onSuccess={(email) => onResult({ title: t("forgot.sent_title"), text: t("forgot.sent", { email }) })}
      />
    </>
  );
}

async function sendVerify(body: { token: string } | { email: string }): Promise<void> {
  const { error, response } = await client.POST("/api/v1/auth/verify", { body });
  if (!response.ok) throw new ApiError(response, (error ?? {}) as ApiError["body"]);
}

function ResultText({ result }: { result: ShownResult }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <div className="mx-auto grid max-w-md justify-items-start gap-4 pt-6">
      <h1 ref={heading} tabIndex={-1} className="page-title">
        {result.title}
      </h1>
      <p className="[overflow-wrap:anywhere]">{result.text}</p>
      <Link href="/" className="button button-quiet">
        {t("confirm.shop")}
      </Link>
    </div>
  );
}
