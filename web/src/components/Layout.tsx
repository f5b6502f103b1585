// The frame of every page: navigation, account, connection banner, notices and language.

import { type ReactNode, useState } from "react";
import { Link } from "wouter";
import { connection } from "../lib/connection";
import { chooseLanguage, LANGUAGES, type LanguageCode, t, useLanguage } from "../lib/i18n";
import { liveState } from "../lib/live/liveState";
import { dismissSessionEnd, session, signOut, useUser } from "../lib/session";
import { useStore } from "../lib/store";
import { ActivityBar } from "./ActivityBar";

export function Layout({ children }: { children: ReactNode }) {
  return (
    <div className="flex min-h-screen flex-col" data-live={useStore(liveState)}>
      <PageTop />
      <ActivityBar />
      <Header />
      <main id="content" tabIndex={-1} className="mx-auto w-full max-w-6xl flex-1 px-4 pt-4 pb-16 sm:px-8">
        <SessionEndNotice />
        <SocketLimitNotice />
        {children}
      </main>
      <Footer />
    </div>
  );
}

function Header() {
  const user = useUser();
  return (
    <header className="mx-auto flex w-full max-w-6xl flex-wrap items-center justify-between gap-x-4 gap-y-1 px-4 py-3 sm:gap-x-6 sm:px-8 sm:py-4">
      <Link href="/" className="flex items-center gap-2 py-2 font-display text-xl font-bold">
        <Logo />
        {/* With an account beside it there is no room for the name on a phone. */}
        <span className={user === null ? "" : "max-sm:sr-only"}>Doorbuster</span>
      </Link>
      <nav aria-label={t("nav.label")} className="flex min-w-0 flex-wrap items-center gap-x-4 sm:gap-x-5">
        {user !== null ? (
          <>
            <Link href="/orders" className="text-link py-2">
              {t("nav.orders")}
            </Link>
            <Link
              href="/account"
              className="text-link max-w-[min(10rem,30vw)] truncate py-2"
              title={user.email}
              aria-label={t("nav.account", { name: user.username })}
            >
              <bdi>{user.username}</bdi>
            </Link>
            {/* On a phone, the page of the account has it. */}
            <button type="button" className="text-link py-2 max-sm:hidden" onClick={() => void signOut()}>
              {t("nav.sign_out")}
            </button>
          </>
        ) : (
          <SignInLink className="text-link py-2">{t("nav.sign_in")}</SignInLink>
        )}
      </nav>
    </header>
  );
}

/** A link to the sign-in page, which returns the buyer to the current page. */
export function SignInLink({ className, children }: { className: string; children: ReactNode }) {
  const path = location.pathname;
  const query = ["/", "/sign-in", "/register"].includes(path) ? "" : `?to=${encodeURIComponent(path)}`;
  return (
    <Link href={`/sign-in${query}`} className={className}>
      {children}
    </Link>
  );
}

export function Logo() {
  return (
    <svg viewBox="0 0 32 32" className="size-8 text-mark" aria-hidden="true">
      <path fill="currentColor" d="M3 6h26v7a3 3 0 0 0 0 6v7H3v-7a3 3 0 0 0 0-6z" />
      <path
        fill="none"
        stroke="var(--paper)"
        strokeWidth="2.6"
        strokeLinecap="round"
        strokeLinejoin="round"
        d="m11 16.2 3.4 3.4 7-7.2"
      />
    </svg>
  );
}

/** What each page begins with: the link to its content, and the connection banner. */
export function PageTop() {
  const state = useStore(connection);
  return (
    <>
      <a
        href="#content"
        className="sr-only focus:not-sr-only focus:absolute focus:z-10 focus:bg-card focus:p-3"
      >
        {t("nav.skip")}
      </a>
      <div role="status" className={state === "good" ? "sr-only" : "bg-ink px-4 py-2 text-center text-paper"}>
        {state !== "good" && t(`link.${state}`)}
      </div>
    </>
  );
}

const NOTICE =
  "mb-6 flex flex-wrap items-center justify-between gap-3 rounded-lg border-s-4 border-mark bg-warn px-4 py-3";

export function SessionEndNotice() {
  if (useStore(session).status !== "over") return null;
  return (
    <div role="alert" className={NOTICE}>
      <p className="max-w-prose">{t("session.over")}</p>
      <div className="flex flex-wrap gap-4">
        <SignInLink className="text-link py-1 font-semibold">{t("nav.sign_in")}</SignInLink>
        <button type="button" className="text-link py-1" onClick={dismissSessionEnd}>
          {t("session.dismiss")}
        </button>
      </div>
    </div>
  );
}

/** Shown once to a tab whose socket the server does not accept. The tab polls and keeps trying to connect. */
function SocketLimitNotice() {
  const isFull = useStore(liveState) === "full";
  const [isDismissed, setDismissed] = useState(false);
  if (!isFull || isDismissed) return null;
  return (
    <div role="status" className={NOTICE}>
      <p className="max-w-prose">{t("live.full")}</p>
      <button type="button" className="text-link py-1" onClick={() => setDismissed(true)}>
        {t("live.dismiss")}
      </button>
    </div>
  );
}

function Footer() {
  return (
    <footer className="border-t border-line">
      <div className="mx-auto flex max-w-6xl flex-wrap items-center justify-between gap-4 px-4 py-6 text-sm text-soft sm:px-8">
        <p className="max-w-prose">{t("footer.promise")}</p>
        <LanguageSelect />
      </div>
    </footer>
  );
}

export function LanguageSelect() {
  const code = useLanguage();
  return (
    <label className="flex flex-wrap items-center gap-2">
      {t("footer.language")}
      <select
        className="min-h-9 max-w-full rounded border border-soft bg-card px-2 text-ink"
        value={code}
        onChange={(event) => void chooseLanguage(event.target.value as LanguageCode)}
      >
        {Object.entries(LANGUAGES).map(([each, { name }]) => (
          <option key={each} value={each} lang={each}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
