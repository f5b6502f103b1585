// A secret that was just made, with a button that copies it. It is shown here and never again.

import { useState } from "react";
import { Notice } from "../../../components/Notices";
import { t } from "../../lib/texts";

export function SecretNotice({ secret, onClose }: { secret: string; onClose: () => void }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(secret).then(
      () => setCopied(true),
      // Without the permission the merchant copies the text by hand.
      () => setCopied(false),
    );
  };
  return (
    <Notice>
      <p className="font-semibold">{t("webhook.secret_title")}</p>
      <p className="py-2">
        <code dir="ltr" data-secret className="[overflow-wrap:anywhere]">
          {secret}
        </code>
      </p>
      <p>{t("webhook.secret_text")}</p>
      <p className="flex flex-wrap gap-4 pt-2">
        <button type="button" className="text-link py-2" onClick={() => void copy()}>
          {t(isCopied ? "webhook.copied" : "webhook.copy")}
        </button>
        <button type="button" className="text-link py-2" onClick={onClose}>
          {t("webhook.secret_close")}
        </button>
      </p>
    </Notice>
  );
}
