// When a script of this page breaks, the buyer is told so, and that nothing is lost: places and orders are the server's.

import { Component, type ReactNode } from "react";
import { t } from "../lib/i18n";

export class ErrorBoundary extends Component<{ children: ReactNode }, { isBroken: boolean }> {
  override state = { isBroken: false };

  static getDerivedStateFromError() {
    return { isBroken: true };
  }

  override render() {
    if (!this.state.isBroken) return this.props.children;
    return (
      <main className="mx-auto grid min-h-screen max-w-xl content-center p-6">
        <div role="alert" className="grid justify-items-start gap-4">
          <h1 className="text-3xl">{t("broken.title")}</h1>
          <p>{t("broken.text")}</p>
          <button type="button" className="button button-main" onClick={() => location.reload()}>
            {t("broken.reload")}
          </button>
        </div>
      </main>
    );
  }
}
