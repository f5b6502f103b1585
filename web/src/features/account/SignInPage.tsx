// Signs in with an e-mail address or a username.

import { Link, useSearch } from "wouter";
import { client, unwrapReply } from "../../lib/api";
import { t } from "../../lib/i18n";
import { useFeatures } from "../../lib/useFeatures";
import { AccountForm } from "./AccountForm";
import { EMAIL_OR_USERNAME, PASSWORD } from "./accountFields";

export default function SignInPage() {
  const features = useFeatures();
  const search = useSearch();
  return (
    <AccountForm
      title="nav.sign_in"
      fields={[EMAIL_OR_USERNAME, PASSWORD]}
      send={({ name = "", password = "" }) => {
        const account = name.includes("@") ? { email: name.trim() } : { username: name.trim() };
        return unwrapReply(client.POST("/api/v1/auth/login", { body: { ...account, password } }));
      }}
      other={{ question: "account.new", path: "/register", label: "account.register" }}
    >
      {features?.mail === true && (
        <p className="pt-6">
          <Link href="/forgot-password" className="text-link font-semibold">
            {t("account.forgot")}
          </Link>
        </p>
      )}
      {features?.mail === true && features.guests && (
        <p className="pt-3">
          <Link href={`/guest${search === "" ? "" : `?${search}`}`} className="text-link font-semibold">
            {t("account.as_guest")}
          </Link>
        </p>
      )}
    </AccountForm>
  );
}
