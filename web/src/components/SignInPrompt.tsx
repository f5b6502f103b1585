// Replaces a page that needs a session.

import { t } from "../lib/i18n";
import { SignInLink } from "./Layout";

export function SignInPrompt({ text = t("sign_in_first.text") }: { text?: string }) {
  return (
    <div className="mx-auto grid max-w-xl justify-items-start gap-4 py-10">
      <h1 className="text-3xl">{t("sign_in_first.title")}</h1>
      <p>{text}</p>
      <SignInLink className="button button-main">{t("nav.sign_in")}</SignInLink>
    </div>
  );
}
