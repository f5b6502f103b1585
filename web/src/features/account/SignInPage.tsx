// Signs in with an e-mail address or a username.

import { client, unwrapReply } from "../../lib/api";
import { AccountForm } from "./AccountForm";

export function SignInPage() {
  return (
    <AccountForm
      title="nav.sign_in"
      fields={[
        {
          name: "name",
          label: "account.name",
          invalid: "account.name_wrong",
          autoComplete: "username",
        },
        {
          name: "password",
          label: "account.password",
          invalid: "account.password_wrong",
          type: "password",
          autoComplete: "current-password",
        },
      ]}
      send={({ name = "", password = "" }) => {
        const account = name.includes("@") ? { email: name.trim() } : { username: name.trim() };
        return unwrapReply(client.POST("/api/v1/auth/login", { body: { ...account, password } }));
      }}
      other={{ question: "account.new", path: "/register", label: "account.register" }}
    />
  );
}
