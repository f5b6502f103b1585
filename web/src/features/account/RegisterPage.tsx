// Creates an account.

import { Link, useLocation, useSearch } from "wouter";
import { client, unwrapReply } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { t } from "../../lib/i18n";
import { returnPath } from "../../lib/returnPath";
import { signIn } from "../../lib/session";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { useTitle } from "../../lib/useTitle";
import { AccountField, AccountForm } from "./AccountForm";

export function RegisterPage() {
  useTitle(t("account.register"));
  const search = useSearch();
  const [, navigate] = useLocation();
  const request = useSubmitOnce({
    mutationFn: ({ email = "", username = "", password = "" }: Record<string, string>) =>
      unwrapReply(
        client.POST("/api/v1/auth/register", {
          body: { email: email.trim(), username: username.trim(), password },
        }),
      ),
    onSuccess: (reply) => {
      signIn(reply);
      navigate(returnPath(search), { replace: true });
    },
  });
  const code = request.error instanceof ApiError ? request.error.code : "";
  return (
    <>
      <AccountForm
        title="account.register"
        submit="account.register"
        isPending={request.isPending}
        error={request.error}
        onSubmit={request.submit}
      >
        <AccountField
          name="email"
          label="account.email"
          wrong={code === "email_taken" ? "refused.email_taken" : "account.email_wrong"}
          isWrong={code === "email_taken"}
          type="email"
          autoComplete="email"
          error={request.error}
        />
        <AccountField
          name="username"
          label="account.username"
          hint="account.username_hint"
          wrong={code === "username_taken" ? "refused.username_taken" : "account.username_wrong"}
          isWrong={code === "username_taken"}
          autoComplete="username"
          error={request.error}
        />
        <AccountField
          name="password"
          label="account.password"
          hint="account.password_hint"
          wrong="account.password_wrong"
          type="password"
          autoComplete="new-password"
          error={request.error}
        />
      </AccountForm>
      <p className="mx-auto max-w-md pt-6">
        {t("account.known")}{" "}
        <Link href={`/sign-in${search === "" ? "" : `?${search}`}`} className="text-link font-semibold">
          {t("nav.sign_in")}
        </Link>
      </p>
    </>
  );
}
