// Creates an account.

import { client, unwrapReply } from "../../lib/api";
import { AccountForm } from "./AccountForm";

export function RegisterPage() {
  return (
    <AccountForm
      title="account.register"
      fields={[
        {
          name: "email",
          label: "account.email",
          invalid: "account.email_wrong",
          taken: { code: "email_taken", text: "refused.email_taken" },
          type: "email",
          autoComplete: "email",
        },
        {
          name: "username",
          label: "account.username",
          hint: "account.username_hint",
          invalid: "account.username_wrong",
          taken: { code: "username_taken", text: "refused.username_taken" },
          autoComplete: "username",
        },
        {
          name: "password",
          label: "account.password",
          hint: "account.password_hint",
          invalid: "account.password_wrong",
          type: "password",
          autoComplete: "new-password",
        },
      ]}
      send={({ email = "", username = "", password = "" }) => {
        const body = { email: email.trim(), username: username.trim(), password };
        return unwrapReply(client.POST("/api/v1/auth/register", { body }));
      }}
      other={{ question: "account.known", path: "/sign-in", label: "nav.sign_in" }}
    />
  );
}
