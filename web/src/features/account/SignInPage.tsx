// Signs in with an e-mail address or a username.

import { client, unwrapReply } from "../../lib/api";
import { AccountForm } from "./AccountForm";
import { EMAIL_OR_USERNAME, PASSWORD } from "./accountFields";

export default function SignInPage() {
  return (
    <AccountForm
      title="nav.sign_in"
      fields={[EMAIL_OR_USERNAME, PASSWORD]}
      send={({ name = "", password = "" }) => {
        const account = name.includes("@") ? { email: name.trim() } : { username: name.trim() };
        return unwrapReply(client.POST("/api/v1/auth/login", { body: { ...account, password } }));
      }}
      other={{ question: "account.new", path: "/register", label: "account.register" }}
    />
  );
}
