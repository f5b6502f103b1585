// What all pages of the merchant share: where one can go, who is signed in, how the connection is.

import { type ReactNode, useEffect, useRef } from "react";
import { Link, useLocation } from "wouter";
import { ConnectionBanner, LanguageSelect, Logo, SessionEndNotice } from "../../components/Layout";
import { session, signOut } from "../../lib/session";
import { useStore } from "../../lib/store";
import { type AdminKey, t } from "../lib/texts";

const PLACES: { href: string; text: AdminKey; isHere: (path: string) => boolean }[] = [
  {
    href: "/admin",
    text: "nav.sales",
    isHere: (path) => path === "/admin" || path.startsWith("/admin/sales"),
  },
  { href: "/admin/products", text: "nav.products", isHere: (path) => path.startsWith("/admin/products") },
  { href: "/admin/orders", text: "nav.orders", isHere: (path) => path.startsWith("/admin/orders") },
];

export function Frame({ children }: { children: ReactNode }) {
  return (
    <div className="flex min-h-screen flex-col">
      <a
        href="#content"
        className="sr-only focus:not-sr-only focus:absolute focus:z-10 focus:bg-card focus:p-3"
      >
        {t("nav.skip")}
      </a>
      <ConnectionBanner />
      <Header />
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

function Header() {
  const who = useStore(session);
  const [path] = useLocation();
  const isAdmin = who.status === "in" && who.user.role === "admin";
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
        {isAdmin && (
          <nav aria-label={t("nav.label")} className="flex flex-wrap gap-x-1">
            {PLACES.map(({ href, text, isHere }) => (
              <Link
                key={href}
                href={href}
                aria-current={isHere(path) ? "page" : undefined}
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
          {who.status === "in" && (
            <>
              <span className="max-w-40 truncate text-soft" title={who.user.email}>
                {who.user.username}
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

/** The head of a page: its title, and what can be done from here. Those who listen hear of a new page by its title. */
export function PageHead({ title, children }: { title: string; children?: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return (
    <div className="flex flex-wrap items-center justify-between gap-x-6 gap-y-3 pb-6">
      <h1 ref={heading} tabIndex={-1} className="text-3xl">
        {title}
      </h1>
      <div className="flex flex-wrap gap-3">{children}</div>
    </div>
  );
}
