// Making an account.

import { Link, useLocation, useSearch } from "wouter";
import { ask, client } from "../../lib/api";
import { wayBack } from "../../lib/back";
import { useDeed } from "../../lib/deed";
import { t } from "../../lib/i18n";
import { Refused } from "../../lib/problem";
import { signIn } from "../../lib/session";
import { useTitle } from "../../lib/title";
import { Field, Form } from "./Form";

export function RegisterPage() {
  useTitle(t("account.register"));
  const search = useSearch();
  const [, go] = useLocation();
  const send = useDeed({
    mutationFn: ({ email = "", username = "", password = "" }: Record<string, string>) =>
      ask(
        client.POST("/api/v1/auth/register", {
          body: { email: email.trim(), username: username.trim(), password },
        }),
      ),
    onSuccess: (reply) => {
      signIn(reply);
      go(wayBack(search), { replace: true });
    },
  });
  const code = send.error instanceof Refused ? send.error.code : "";
  return (
    <>
      <Form
        title="account.register"
        submit="account.register"
        isPending={send.isPending}
        error={send.error}
        onSubmit={send.press}
      >
        <Field
          name="email"
          label="account.email"
          wrong={code === "email_taken" ? "refused.email_taken" : "account.email_wrong"}
          isWrong={code === "email_taken"}
          type="email"
          autoComplete="email"
          error={send.error}
        />
        <Field
          name="username"
          label="account.username"
          hint="account.username_hint"
          wrong={code === "username_taken" ? "refused.username_taken" : "account.username_wrong"}
          isWrong={code === "username_taken"}
          autoComplete="username"
          error={send.error}
        />
        <Field
          name="password"
          label="account.password"
          hint="account.password_hint"
          wrong="account.password_wrong"
          type="password"
          autoComplete="new-password"
          error={send.error}
        />
      </Form>
      <p className="mx-auto max-w-md pt-6">
        {t("account.known")}{" "}
        <Link href={`/sign-in${search === "" ? "" : `?${search}`}`} className="text-link font-semibold">
          {t("nav.sign_in")}
        </Link>
      </p>
    </>
  );
}
