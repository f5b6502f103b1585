// Signing in, with an e-mail address or a name.

import { Link, useLocation, useSearch } from "wouter";
import { ask, client } from "../../lib/api";
import { wayBack } from "../../lib/back";
import { useDeed } from "../../lib/deed";
import { t } from "../../lib/i18n";
import { signIn } from "../../lib/session";
import { useTitle } from "../../lib/title";
import { Field, Form } from "./Form";

export function SignInPage() {
  useTitle(t("nav.sign_in"));
  const search = useSearch();
  const [, go] = useLocation();
  const send = useDeed({
    mutationFn: ({ name = "", password = "" }: Record<string, string>) => {
      const who = name.includes("@") ? { email: name.trim() } : { username: name.trim() };
      return ask(client.POST("/api/v1/auth/login", { body: { ...who, password } }));
    },
    onSuccess: (reply) => {
      signIn(reply);
      go(wayBack(search), { replace: true });
    },
  });
  return (
    <>
      <Form
        title="nav.sign_in"
        submit="nav.sign_in"
        isPending={send.isPending}
        error={send.error}
        onSubmit={send.press}
      >
        <Field
          name="name"
          label="account.name"
          wrong="account.name_wrong"
          autoComplete="username"
          error={send.error}
        />
        <Field
          name="password"
          label="account.password"
          wrong="account.password_wrong"
          type="password"
          autoComplete="current-password"
          error={send.error}
        />
      </Form>
      <p className="mx-auto max-w-md pt-6">
        {t("account.new")}{" "}
        <Link href={`/register${search === "" ? "" : `?${search}`}`} className="text-link font-semibold">
          {t("account.register")}
        </Link>
      </p>
    </>
  );
}
