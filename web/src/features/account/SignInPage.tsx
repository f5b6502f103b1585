// Signs in with an e-mail address or a username.

import { Link, useLocation, useSearch } from "wouter";
import { client, unwrapReply } from "../../lib/api";
import { t } from "../../lib/i18n";
import { returnPath } from "../../lib/returnPath";
import { signIn } from "../../lib/session";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { useTitle } from "../../lib/useTitle";
import { AccountField, AccountForm } from "./AccountForm";

export function SignInPage() {
  useTitle(t("nav.sign_in"));
  const search = useSearch();
  const [, navigate] = useLocation();
  const request = useSubmitOnce({
    mutationFn: ({ name = "", password = "" }: Record<string, string>) => {
      const account = name.includes("@") ? { email: name.trim() } : { username: name.trim() };
      return unwrapReply(client.POST("/api/v1/auth/login", { body: { ...account, password } }));
    },
    onSuccess: (reply) => {
      signIn(reply);
      navigate(returnPath(search), { replace: true });
    },
  });
  return (
    <>
      <AccountForm
        title="nav.sign_in"
        submit="nav.sign_in"
        isPending={request.isPending}
        error={request.error}
        onSubmit={request.submit}
      >
        <AccountField
          name="name"
          label="account.name"
          wrong="account.name_wrong"
          autoComplete="username"
          error={request.error}
        />
        <AccountField
          name="password"
          label="account.password"
          wrong="account.password_wrong"
          type="password"
          autoComplete="current-password"
          error={request.error}
        />
      </AccountForm>
      <p className="mx-auto max-w-md pt-6">
        {t("account.new")}{" "}
        <Link href={`/register${search === "" ? "" : `?${search}`}`} className="text-link font-semibold">
          {t("account.register")}
        </Link>
      </p>
    </>
  );
}
