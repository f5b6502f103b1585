// The page for an unknown address, and for a sale or an order that does not exist. It always has a way out.

import type { ReactNode } from "react";
import { Link } from "wouter";
import { t } from "../lib/i18n";
import { useTitle } from "../lib/useTitle";

interface Props {
  title?: string;
  text?: string;
  /** Of the admin pages: the way out is theirs, not the one to the shop. */
  isAdmin?: boolean;
  /** Further links beside the one to all sales. */
  children?: ReactNode;
}

export function NotFound(props: Props) {
  const { title = t("lost.title"), text = t("lost.text"), isAdmin = false, children } = props;
  useTitle(title);
  return (
    <div data-page="not-found" className="mx-auto grid max-w-xl justify-items-start gap-4 py-10">
      <h1 className="text-3xl">{title}</h1>
      <p>{text}</p>
      <div className="flex flex-wrap gap-3">
        {!isAdmin && (
          <Link href="/" className="button button-main">
            {t("nav.all_sales")}
          </Link>
        )}
        {children}
      </div>
    </div>
  );
}
