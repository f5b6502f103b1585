// Creates an account.

import { client, unwrapReply } from "../../lib/api";
import { useLanguage } from "../../lib/i18n";
import { AccountForm } from "./AccountForm";
import { EMAIL, NEW_ACCOUNT_PASSWORD, USERNAME } from "./accountFields";

export default function RegisterPage() {
  const language = useLanguage();
  return (
    <AccountForm
      title="account.register"
      fields={[EMAIL, USERNAME, NEW_ACCOUNT_PASSWORD]}
      send={({ email = "", username = "", password = "" }) => {
        const body = { email: email.trim(), username: username.trim(), password, language };
        return unwrapReply(client.POST("/api/v1/auth/register", { body }));
      }}
      other={{ question: "account.known", path: "/sign-in", label: "nav.sign_in" }}
    />
  );
}
