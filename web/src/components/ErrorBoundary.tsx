// Replaces the page after an error in rendering. It says that places and orders are safe, because the server keeps them.

import { Component, type ReactNode } from "react";
import { t } from "../lib/i18n";

export class ErrorBoundary extends Component<{ children: ReactNode }, { hasFailed: boolean }> {
  override state = { hasFailed: false };

  static getDerivedStateFromError() {
    return { hasFailed: true };
  }

  override render() {
    if (!this.state.hasFailed) return this.props.children;
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
