// The frame of every admin page: navigation, account, connection banner and language.

import type { ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { ActivityBar } from "../../components/ActivityBar";
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
  { href: "/admin/webhooks", text: "nav.webhooks", isCurrent: (path) => path.startsWith("/admin/webhooks") },
  {
    href: "/admin/integrations",
    text: "nav.integrations",
    isCurrent: (path) => path.startsWith("/admin/integrations"),
  },
];

export function AdminLayout({ children }: { children: ReactNode }) {
  return (
    <div className="flex min-h-screen flex-col">
      <PageTop />
      <ActivityBar />
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
      <div className="mx-auto flex max-w-7xl flex-wrap items-center gap-x-6 px-4 py-1 sm:px-8 md:gap-x-8 md:py-2">
        <Link href="/admin" className="flex items-center gap-2 py-2 font-display text-lg font-bold">
          <Logo />
          <span className="max-md:sr-only">Doorbuster</span>
          <span className="rounded border border-soft px-1.5 py-0.5 font-sans text-xs font-semibold text-soft">
            {t("nav.admin")}
          </span>
        </Link>
        {user?.role === "admin" && (
          <nav
            aria-label={t("nav.label")}
            className="tabs order-last -mx-1 basis-full gap-x-1 md:order-none md:basis-auto"
          >
            {SECTIONS.map(({ href, text, isCurrent }) => (
              <Link
                key={href}
                href={href}
                aria-current={isCurrent(path) ? "page" : undefined}
                className="tab px-3 py-2 md:py-3"
              >
                {t(text)}
              </Link>
            ))}
          </nav>
        )}
        <div className="ms-auto flex flex-wrap items-center gap-x-4 md:gap-x-5">
          <Link href="/" className="text-link py-2">
            {t("nav.shop")}
          </Link>
          {user !== null && (
            <>
              <Link
                href="/account"
                className="text-link max-w-40 truncate py-2 max-md:hidden"
                title={user.email}
              >
                <bdi>{user.username}</bdi>
              </Link>
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
