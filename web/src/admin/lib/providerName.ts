// The names of payment providers.

import { t } from "./texts";

/** The name of a provider in the reader's language; one that the pages do not know is shown as the server names it. */
export function providerName(provider: string): string {
  if (provider === "sandbox") return t("payments.sandbox");
  return provider === "stripe" ? "Stripe" : provider;
}
