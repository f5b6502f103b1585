// The page for an unknown address.

import { Link } from "wouter";
import { t } from "../lib/i18n";
import { useTitle } from "../lib/useTitle";

export function NotFound() {
  useTitle(t("lost.title"));
  return (
    <div className="mx-auto grid max-w-xl justify-items-start gap-4 py-10">
      <h1 className="text-3xl">{t("lost.title")}</h1>
      <p>{t("lost.text")}</p>
      <Link href="/" className="button button-main">
        {t("nav.all_sales")}
      </Link>
    </div>
  );
}
