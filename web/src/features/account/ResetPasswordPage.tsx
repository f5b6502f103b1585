// Chooses a new password with a link from a mail.

import { useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import { Notice } from "../../components/Notices";
import { client } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { t as shopText } from "../../lib/i18n";
import { useTitle } from "../../lib/useTitle";
import { NEW_ACCOUNT_PASSWORD } from "./accountFields";
import { FieldForm } from "./FieldForm";
import { useMailedToken } from "./mailedToken";
import { t } from "./mailTexts";

const NEW_PASSWORD = { ...NEW_ACCOUNT_PASSWORD, label: "account.new_password" } as const;

export default function ResetPasswordPage() {
  const token = useMailedToken();
  const [isDone, setDone] = useState(false);
  useTitle(t("reset.title"));
  if (isDone) return <PasswordChanged />;
  return (
    <div className="mx-auto grid max-w-md gap-6 pt-6">
      <h1 className="page-title">{t("reset.title")}</h1>
      {token === null ? (
        <Notice>{t("reset.no_link")}</Notice>
      ) : (
        <>
          <p className="text-soft">{t("reset.text")}</p>
          <FieldForm
            fields={[NEW_PASSWORD]}
            label={t("reset.button")}
            send={({ password = "" }) => resetPassword(token, password)}
            onSuccess={() => setDone(true)}
          />
        </>
      )}
      <p>
        <Link href="/forgot-password" className="text-link font-semibold">
          {t("reset.new_link")}
        </Link>
      </p>
    </div>
  );
}

async function resetPassword(token: string, password: string): Promise<void> {
  const { error, response } = await client.POST("/api/v1/auth/reset", { body: { token, password } });
  if (!response.ok) throw new ApiError(response, (error ?? {}) as ApiError["body"]);
}

function PasswordChanged() {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <div className="mx-auto grid max-w-md justify-items-start gap-4 pt-6">
      <h1 ref={heading} tabIndex={-1} className="page-title">
        {t("reset.done_title")}
      </h1>
      <p>{t("reset.done")}</p>
      <Link href="/sign-in" className="button button-main">
        {shopText("nav.sign_in")}
      </Link>
    </div>
  );
}
