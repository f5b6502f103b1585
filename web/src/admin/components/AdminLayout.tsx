// The frame of every admin page: navigation, account, connection banner and language.

import type { ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { LanguageSelect, Logo, PageTop, SessionEndNotice } from "../../components/Layout";
import { signOut, useUser } from "../../lib/session";
import { type AdminTextKey, t } from "../lib/texts";

const SECTIONS: { href: string; text: AdminTextKey; isCurrent: (path: string) => boolean }[] = [
  {
    href: "/admin",
    text: "nav.sales",
    isCurrent: (path) => path === "/admin" || path.startsWith("/admin/sales"),
  },
  { href: "/admin/products", text: "nav.products", isCurrent: (path) => path.startsWith("/admin/products") },
  { href: "/admin/orders", text: "nav.orders", isCurrent: (path) => path.startsWith("/admin/orders") },
];

export function AdminLayout({ children }: { children: ReactNode }) {
  return (
    <div className="flex min-h-screen flex-col">
      <PageTop />
      <AdminHeader />
      <main id="content" tabIndex={-1} className="mx-auto w-full max-w-7xl flex-1 px-4 pt-6 pb-16 sm:px-8">
        <SessionEndNotice />
        {children}
      </main>
      <footer className="border-t border-line">
        <div className="mx-auto flex max-w-7xl flex-wrap items-center justify-end gap-4 px-4 py-4 text-sm text-soft sm:px-8">
          <LanguageSelect />
        </div>
      </footer>
    </div>
  );
}

function AdminHeader() {
  const user = useUser();
  const [path] = useLocation();
  return (
    <header className="border-b border-line bg-card">
      <div className="mx-auto flex max-w-7xl flex-wrap items-center gap-x-8 gap-y-1 px-4 py-2 sm:px-8">
        <Link href="/admin" className="flex items-center gap-2 py-2 font-display text-lg font-bold">
          <Logo />
          Doorbuster
          <span className="rounded border border-soft px-1.5 py-0.5 font-sans text-xs font-semibold text-soft">
            {t("nav.admin")}
          </span>
        </Link>
        {user?.role === "admin" && (
          <nav aria-label={t("nav.label")} className="flex flex-wrap gap-x-1">
            {SECTIONS.map(({ href, text, isCurrent }) => (
              <Link
                key={href}
                href={href}
                aria-current={isCurrent(path) ? "page" : undefined}
                className="tab px-3 py-3"
              >
                {t(text)}
              </Link>
            ))}
          </nav>
        )}
        <div className="ms-auto flex flex-wrap items-center gap-x-5">
          <Link href="/" className="text-link py-2">
            {t("nav.shop")}
          </Link>
          {user !== null && (
            <>
              <span className="max-w-40 truncate text-soft" title={user.email}>
                {user.username}
              </span>
              <button type="button" className="text-link py-2" onClick={() => void signOut()}>
                {t("nav.sign_out")}
              </button>
            </>
          )}
        </div>
      </div>
    </header>
  );
}
