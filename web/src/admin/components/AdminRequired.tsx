// Replaces the admin pages for a user who is not an admin.

import { isolateText } from "../../lib/isolateText";
import { signOut, type User } from "../../lib/session";
import { useTitle } from "../../lib/useTitle";
import { t } from "../lib/texts";

export function AdminRequired({ user }: { user: User }) {
  useTitle(t("forbidden.title"));
  return (
    <div className="mx-auto grid max-w-xl justify-items-start gap-4 py-10">
      <h1 className="text-3xl">{t("forbidden.title")}</h1>
      <p>{t("forbidden.text", { name: isolateText(user.username) })}</p>
      <button type="button" className="button button-main" onClick={() => void signOut()}>
        {t("forbidden.switch")}
      </button>
    </div>
  );
}
