// What an admin must know of the payment providers: one that cannot be used, and a sale in which no money moves.

import { Notice } from "../../components/Notices";
import type { AdminSale } from "../../lib/api";
import { locale } from "../../lib/i18n";
import { isolateText } from "../../lib/isolateText";
import type { ProviderFailure } from "../lib/providerHealth";
import { providerName } from "../lib/providerName";
import { t } from "../lib/texts";
import { formatTimestamp } from "../lib/timestamps";
import { useProviderFailures } from "../lib/useProviderFailures";

export function ProviderNotices({ sale }: { sale?: AdminSale }) {
  const failures = useProviderFailures();
  const isTrial = sale?.provider === "sandbox" && sale.payment === "required";
  if (failures.length === 0 && !isTrial) return null;
  return (
    <div className="grid gap-3 pb-5">
      {failures.map((failure) => (
        <FailureNotice key={failure.provider} failure={failure} />
      ))}
      {isTrial && <Notice>{t("health.sandbox")}</Notice>}
    </div>
  );
}

function FailureNotice({ failure }: { failure: ProviderFailure }) {
  const { code, detail, since, missingRights } = failure;
  const provider = isolateText(providerName(failure.provider));
  return (
    <div data-provider-failure={failure.provider} data-failure-code={code ?? ""}>
      <Notice>
        <strong>
          {t(code === "provider_unknown" ? "health.title_unknown" : "health.title", { provider })}
        </strong>{" "}
        {code === null
          ? t("health.text")
          : t(`health.${code}`, {
              provider,
              time: since === null ? "" : formatTimestamp(since, locale()),
              rights: isolateText(missingRights.join(", ")),
            })}
        {code === null && detail !== "" && (
          <span className="block pt-1">
            {t("health.says")}{" "}
            <bdi lang="en" dir="ltr">
              {detail}
            </bdi>
          </span>
        )}
      </Notice>
    </div>
  );
}
