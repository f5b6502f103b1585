// Which payment providers the server cannot use, from its report at `/health`. Pure.

import type { components } from "../../api/schema";

type HealthReport = components["schemas"]["Health"];

/** The codes of the report that these pages have a text for. */
const CODES = [
  "provider_unknown",
  "provider_unavailable",
  "provider_key_invalid",
  "provider_rights_missing",
] as const;
type ProviderCode = (typeof CODES)[number];

export interface ProviderFailure {
  provider: string;
  /** Null for a code that these pages do not know. */
  code: ProviderCode | null;
  /** In the server's words, in English. */
  detail: string;
  /** Since when the provider has not answered; null with another code. */
  since: string | null;
  /** The rights that the key lacks, in the provider's words. */
  missingRights: string[];
}

/** A reply that is no report, such as one of a proxy, says nothing about providers. */
export function readProviderFailures(reply: unknown): ProviderFailure[] {
  const { components: parts } = (reply ?? {}) as Partial<HealthReport>;
  if (!Array.isArray(parts)) return [];
  return parts
    .filter(({ ok, code }) => !ok && code?.startsWith("provider_"))
    .map(({ name, code, detail, since, missingRights }) => ({
      provider: name,
      code: CODES.find((known) => known === code) ?? null,
      detail: detail ?? "",
      since: since ?? null,
      missingRights: missingRights ?? [],
    }));
}
