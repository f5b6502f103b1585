// "Tell me when it starts" and "tell me if a unit comes back", by mail. Shown only in a shop that sends mail.

import { type FormEvent, useState } from "react";
import { FormField } from "../../components/FormField";
import { ErrorNotice } from "../../components/Notices";
import { client, unwrapReply } from "../../lib/api";
import { fieldErrors } from "../../lib/formErrors";
import { t as shopText, useLanguage } from "../../lib/i18n";
import { useUser } from "../../lib/session";
import { useFeatures } from "../../lib/useFeatures";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { t } from "./reminderTexts";

type ReminderTopic = "start" | "unit";

interface Props {
  saleId: string;
  topic: ReminderTopic;
}

export default function SaleReminder({ saleId, topic }: Props) {
  const features = useFeatures();
  const [isOpen, setOpen] = useState(false);
  const [email, setEmail] = useState<string | null>(null);
  if (features?.mail !== true) return null;
  if (email !== null) {
    return (
      <p role="status" className="pt-5 font-semibold text-good [overflow-wrap:anywhere]">
        {t(`reminder.${topic}_done`, { email })}
      </p>
    );
  }
  return (
    <div className="grid justify-items-start gap-3 pt-5">
      {isOpen ? (
        <ReminderForm saleId={saleId} topic={topic} onDone={setEmail} />
      ) : (
        <button type="button" className="button button-quiet" onClick={() => setOpen(true)}>
          {t(`reminder.${topic}`)}
        </button>
      )}
    </div>
  );
}

function ReminderForm({ saleId, topic, onDone }: Props & { onDone: (email: string) => void }) {
  const user = useUser();
  const language = useLanguage();
  const { submit, isPending, error } = useSubmitOnce({
    mutationFn: (email: string) =>
      unwrapReply(
        client.POST("/api/v1/flash-sales/{id}/reminders", {
          params: { path: { id: saleId } },
          body: { topic, email, language },
        }),
      ),
    onSuccess: (reply) => onDone(reply.email),
  });
  const isEmailWrong = fieldErrors(error).some(({ pointer }) => pointer === "/email");
  const send = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    submit(String(new FormData(event.currentTarget).get("email")).trim());
  };
  return (
    <form noValidate className="grid w-full gap-4" onSubmit={send}>
      <ErrorNotice error={error} claims={(pointer) => pointer === "/email"} />
      <FormField
        name="email"
        label={shopText("account.email")}
        hint={t(`reminder.${topic}_hint`)}
        error={isEmailWrong ? shopText("account.email_wrong") : null}
        type="email"
        autoComplete="email"
        defaultValue={user?.email}
      />
      <button type="submit" className="button button-quiet" aria-disabled={isPending}>
        {isPending ? shopText("account.asking") : t(`reminder.${topic}`)}
      </button>
    </form>
  );
}
