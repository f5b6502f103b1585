// Asks for a link with which the owner of an account chooses a new password. The page says the same for every address.

import { useEffect, useRef, useState } from "react";
import { client, unwrapReply } from "../../lib/api";
import { useTitle } from "../../lib/useTitle";
import { EMAIL } from "./accountFields";
import { FieldForm } from "./FieldForm";
import { t } from "./mailTexts";

export default function ForgotPasswordPage() {
  const [email, setEmail] = useState<string | null>(null);
  useTitle(t("forgot.title"));
  if (email !== null) return <LinkSent email={email} onAgain={() => setEmail(null)} />;
  return (
    <div className="mx-auto max-w-md pt-6">
      <h1 className="pb-4 page-title">{t("forgot.title")}</h1>
      <p className="pb-7 text-soft">{t("forgot.text")}</p>
      <FieldForm
        fields={[EMAIL]}
        label={t("forgot.button")}
        send={({ email = "" }) =>
          unwrapReply(client.POST("/api/v1/auth/forgot", { body: { email: email.trim() } }))
        }
        onSuccess={(reply) => setEmail(reply.email)}
      />
    </div>
  );
}

function LinkSent({ email, onAgain }: { email: string; onAgain: () => void }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <div className="mx-auto grid max-w-md justify-items-start gap-4 pt-6">
      <h1 ref={heading} tabIndex={-1} className="page-title">
        {t("forgot.sent_title")}
      </h1>
      <p className="[overflow-wrap:anywhere]">{t("forgot.sent", { email })}</p>
      <p className="text-soft">{t("forgot.missing")}</p>
      <button type="button" className="button button-quiet" onClick={onAgain}>
        {t("forgot.again")}
      </button>
    </div>
  );
}
