// The kinds of mails that the merchant may switch off. A change is saved at once.

import { useQueryClient } from "@tanstack/react-query";
import { client, unwrapReply } from "../../../lib/api";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { FormError } from "../../components/FormError";
import { adminKeys } from "../../lib/adminCache";
import { t } from "../../lib/texts";
import { mailKindText } from "./mailTexts";
import { type MailSwitches, useMailSwitches } from "./queries";

export function MailSwitchList() {
  const queries = useQueryClient();
  const { data, error } = useMailSwitches();
  const change = useSubmitOnce<MailSwitches, MailSwitches>({
    mutationFn: (body) => unwrapReply(client.PATCH("/api/v1/admin/mail-switches", { body })),
    onSuccess: (saved) => queries.setQueryData(adminKeys.mailSwitches, saved),
  });
  return (
    <section aria-labelledby="mail-switches" className="grid gap-4">
      <h2 id="mail-switches" className="text-xl">
        {t("mail.switches")}
      </h2>
      <p className="max-w-prose text-soft">{t("mail.switches_text")}</p>
      <FormError error={change.error ?? error} />
      {data !== undefined && (
        <ul className="grid gap-1 sm:grid-cols-2">
          {Object.entries(data).map(([kind, isOn]) => (
            <li key={kind}>
              <label className="flex items-start gap-3 py-1">
                <input
                  type="checkbox"
                  className="mt-1.5 size-4 accent-mark"
                  checked={isOn}
                  onChange={(event) => change.submit({ [kind]: event.target.checked })}
                />
                {mailKindText(kind)}
              </label>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
