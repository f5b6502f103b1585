// Buys without an account: the shop mails a code, and with it the guest is the same buyer each time.

import { useState } from "react";
import { useLocation, useSearch } from "wouter";
import { NotFound } from "../../components/NotFound";
import { client, unwrapReply } from "../../lib/api";
import { returnPath } from "../../lib/returnPath";
import { beginVisit } from "../../lib/session";
import { useFeatures } from "../../lib/useFeatures";
import { useTitle } from "../../lib/useTitle";
import { CODE, EMAIL } from "./accountFields";
import { FieldForm } from "./FieldForm";
import { t } from "./mailTexts";

export default function GuestPage() {
  const features = useFeatures();
  const [email, setEmail] = useState<string | null>(null);
  useTitle(t("guest.title"));
  if (features === undefined) return <div className="skeleton mx-auto h-96 max-w-md" aria-busy="true" />;
  if (!features.mail || !features.guests) return <NotFound />;
  return (
    <div className="mx-auto max-w-md pt-6">
      <h1 className="pb-4 page-title">{t("guest.title")}</h1>
      {email === null ? (
        <>
          <p className="pb-7 text-soft">{t("guest.text")}</p>
          <FieldForm
            fields={[EMAIL]}
            label={t("guest.button")}
            send={({ email = "" }) => sendGuest({ email: email.trim() })}
            onSuccess={(reply) => setEmail("email" in reply ? reply.email : reply.user.email)}
          />
        </>
      ) : (
        <CodeForm email={email} onAgain={() => setEmail(null)} />
      )}
    </div>
  );
}

function CodeForm({ email, onAgain }: { email: string; onAgain: () => void }) {
  const search = useSearch();
  const [, navigate] = useLocation();
  return (
    <>
      <p role="status" className="pb-7 [overflow-wrap:anywhere]">
        {t("guest.sent", { email })}
      </p>
      <FieldForm
        fields={[CODE]}
        label={t("guest.code_button")}
        send={({ code = "" }) => sendGuest({ email, code: code.trim() })}
        onSuccess={(reply) => {
          if (!("accessToken" in reply)) return;
          beginVisit(reply);
          navigate(returnPath(search), { replace: true });
        }}
      >
        <button type="button" className="text-link justify-self-start py-1" onClick={onAgain}>
          {t("guest.again")}
        </button>
      </FieldForm>
    </>
  );
}

function sendGuest(body: { email: string; code?: string }) {
  return unwrapReply(client.POST("/api/v1/auth/guest", { body }));
}
