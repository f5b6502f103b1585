// How an endpoint is, in a few words.

import { locale } from "../../../lib/i18n";
import { t } from "../../lib/texts";
import { formatTimestamp } from "../../lib/timestamps";
import type { Webhook } from "./queries";

const DISABLED_TEXTS = {
  gone: "webhook.disabled.gone",
  failing: "webhook.disabled.failing",
  merchant: "webhook.disabled.merchant",
} as const;

export function WebhookStatus({ webhook }: { webhook: Webhook }) {
  const { disabledReason, failingSince, pausedUntil } = webhook;
  if (disabledReason) {
    const key = DISABLED_TEXTS[disabledReason as keyof typeof DISABLED_TEXTS] ?? "webhook.disabled.merchant";
    return <Status state="disabled" text={t(key)} />;
  }
  if (failingSince) {
    const time = formatTimestamp(failingSince, locale());
    return <Status state="failing" text={t("webhook.failing", { time })} />;
  }
  if (pausedUntil) {
    const time = formatTimestamp(pausedUntil, locale());
    return <Status state="paused" text={t("webhook.paused", { time })} />;
  }
  return <Status state="healthy" text={t("webhook.healthy")} />;
}

function Status({ state, text }: { state: string; text: string }) {
  return (
    <span
      data-webhook-state={state}
      className={`font-semibold ${state === "healthy" ? "text-good" : "text-mark"}`}
    >
      {text}
    </span>
  );
}
