// The page for an unknown address below /admin, and for a sale or a product that does not exist.

import { Link } from "wouter";
import { NotFound } from "../../components/NotFound";
import { t } from "../lib/texts";

export function AdminNotFound() {
  return (
    <NotFound isAdmin>
      <Link href="/admin" className="button button-main">
        {t("nav.all_sales")}
      </Link>
    </NotFound>
  );
}
