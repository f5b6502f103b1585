// The buyer's own account: who is signed in, another password, and the ways out.

import { lazy, Suspense, useState } from "react";
import { ConfirmInline } from "../../components/ConfirmInline";
import { SignInPrompt } from "../../components/SignInPrompt";
import { client, unwrapReply } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { t } from "../../lib/i18n";
import { forgetSession, isGuest, signIn, signOut, useUser } from "../../lib/session";
import { useFeatures } from "../../lib/useFeatures";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { useTitle } from "../../lib/useTitle";
import { CURRENT_PASSWORD, NEW_PASSWORD } from "./accountFields";
import { FieldForm } from "./FieldForm";

/** Only in a shop that sends mail. */
const OwnMails = lazy(async () => {
  const [section, { ready }] = await Promise.all([import("./OwnMails"), import("./mailTexts")]);
  await ready;
  return section;
});

export default function AccountPage() {
  useTitle(t("account.title"));
  const user = useUser();
  const sendsMail = useFeatures()?.mail === true;
  if (user === null) return <SignInPrompt text={t("account.sign_in_first")} />;
  return (
    <div className="mx-auto grid max-w-md gap-10 pt-6">
      <div className="grid gap-1">
        <h1 className="pb-2 page-title">{t("account.title")}</h1>
        <p className="text-lg [overflow-wrap:anywhere]">
          <bdi>{user.username}</bdi>
        </p>
        <p className="text-soft [overflow-wrap:anywhere]">
          <bdi>{user.email}</bdi>
        </p>
      </div>
      {sendsMail && (
        <Suspense>
          <OwnMails />
        </Suspense>
      )}
      {!isGuest(user) && <PasswordSection />}
      <section className="grid justify-items-start gap-3 border-t border-line pt-6">
        <h2 className="text-2xl">{t("account.sessions")}</h2>
        <button type="button" className="button button-quiet" onClick={() => void signOut()}>
          {t("nav.sign_out")}
        </button>
        {!isGuest(user) && <SignOutEverywhere />}
      </section>
    </div>
  );
}

function PasswordSection() {
  const [isChanged, setChanged] = useState(false);
  return (
    <section className="grid gap-4 border-t border-line pt-6">
      <h2 className="text-2xl">{t("account.change_password")}</h2>
      <p className="text-soft">{t("account.change_password_text")}</p>
      <FieldForm
        fields={[CURRENT_PASSWORD, NEW_PASSWORD]}
        label={t("account.change_password")}
        send={({ currentPassword = "", newPassword = "" }) => {
          setChanged(false);
          const body = { currentPassword, newPassword };
          return unwrapReply(client.POST("/api/v1/auth/password", { body }));
        }}
        onSuccess={(reply) => {
          signIn(reply);
          setChanged(true);
        }}
      >
        <p role="status" className={isChanged ? "font-semibold text-good" : "sr-only"}>
          {isChanged && t("account.password_changed")}
        </p>
      </FieldForm>
    </section>
  );
}

function SignOutEverywhere() {
  const { submit, isPending, error } = useSubmitOnce({
    mutationFn: async () => {
      const { error, response } = await client.POST("/api/v1/auth/sign-out-everywhere");
      if (!response.ok) throw new ApiError(response, (error ?? {}) as ApiError["body"]);
    },
    onSuccess: forgetSession,
  });
  return (
    <ConfirmInline
      label={t("account.everywhere")}
      question={t("account.everywhere_sure")}
      confirmLabel={t("account.everywhere")}
      cancelLabel={t("account.everywhere_no")}
      isPending={isPending}
      error={error}
      onConfirm={submit}
    />
  );
}
