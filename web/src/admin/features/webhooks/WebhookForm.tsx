// The form of an endpoint: where events go, and which.

import { useId, useState } from "react";
import { client, unwrapReply } from "../../../lib/api";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { CheckField } from "../../components/CheckField";
import { Field, Fieldset } from "../../components/FormFields";
import { FormSubmit } from "../../components/FormSubmit";
import { type FormDraft, readServerErrors, useDraft } from "../../lib/formDraft";
import { t } from "../../lib/texts";
import type { Webhook } from "./queries";
import { SaleChoice } from "./SaleChoice";
import {
  ALL_TYPES,
  EVENT_TYPES,
  splitChoice,
  toggleChoice,
  validateWebhook,
  WEBHOOK_POINTERS,
  type WebhookField,
  type WebhookValues,
  webhookBody,
  webhookChanges,
  webhookValues,
} from "./webhookDraft";

type SavedWebhook = Webhook & { secret?: string };

interface Props {
  webhook: Webhook | null;
  onSaved: (webhook: SavedWebhook) => void;
}

export function WebhookForm({ webhook, onSaved }: Props) {
  const [isSaved, setSaved] = useState(false);
  const save = useSubmitOnce<SavedWebhook, WebhookValues>({
    mutationFn: (values) => {
      if (webhook === null) {
        return unwrapReply(client.POST("/api/v1/admin/webhooks", { body: webhookBody(values) }));
      }
      const params = { path: { id: webhook.id } };
      const body = webhookChanges(values, webhook);
      return unwrapReply(client.PATCH("/api/v1/admin/webhooks/{id}", { params, body }));
    },
    onSuccess: (saved) => {
      if (webhook !== null) {
        draft.restart(webhookValues(saved));
        setSaved(true);
      }
      onSaved(saved);
    },
  });
  const serverErrors = readServerErrors(save.error, WEBHOOK_POINTERS);
  const draft = useDraft(
    webhookValues(webhook),
    validateWebhook,
    serverErrors.fields,
    save.error,
    webhook !== null,
  );
  const edit = (changes: Partial<WebhookValues>) => {
    setSaved(false);
    draft.set(changes);
  };
  return (
    <form
      ref={draft.form}
      noValidate
      className="grid max-w-3xl gap-5"
      onSubmit={(event) => draft.send(event, () => save.submit(draft.values))}
    >
      <Fieldset title={t("webhook.part")}>
        <Field
          draft={draft}
          name="url"
          label={t("webhook.url")}
          hint={t("webhook.url_hint")}
          onChange={(url) => edit({ url })}
        >
          {(input) => <input {...input} type="url" autoComplete="off" dir="ltr" />}
        </Field>
        <Field
          draft={draft}
          name="description"
          label={t("webhook.description")}
          hint={t("form.optional")}
          onChange={(description) => edit({ description })}
        >
          {(input) => <input {...input} autoComplete="off" dir="auto" />}
        </Field>
        <TypeChoice draft={draft} onChange={(types) => edit({ types })} />
        <SaleChoice draft={draft} onChange={(sales) => edit({ sales })} />
        <CheckField
          label={t("webhook.email")}
          hint={t("webhook.email_hint")}
          isChecked={draft.values.includeEmail !== ""}
          onChange={(isChecked) => edit({ includeEmail: isChecked ? "yes" : "" })}
        />
      </Fieldset>
      <FormSubmit
        save={{ ...save, isRetrying: false }}
        isSaved={isSaved}
        claims={serverErrors.claims}
        label={t(webhook === null ? "webhook.make" : "form.save")}
      />
    </form>
  );
}

interface ChoiceProps {
  draft: FormDraft<WebhookField>;
  onChange: (types: string) => void;
}

function TypeChoice({ draft, onChange }: ChoiceProps) {
  const id = useId();
  const chosen = splitChoice(draft.values.types);
  const isAll = chosen.includes(ALL_TYPES);
  const error = draft.errorOf("types");
  return (
    <fieldset className="grid gap-3" aria-describedby={error === null ? undefined : `${id}-error`}>
      <legend className="pb-1 font-semibold">{t("webhook.types")}</legend>
      <CheckField
        label={t("webhook.all_types")}
        isChecked={isAll}
        isInvalid={error !== null}
        onChange={(isChecked) => onChange(isChecked ? ALL_TYPES : "")}
      />
      {!isAll &&
        Object.entries(EVENT_TYPES).map(([family, names]) => (
          <div key={family} className="flex flex-wrap gap-x-5 gap-y-1">
            {names.map((name) => (
              <CheckField
                key={name}
                label={<bdi dir="ltr">{`${family}.${name}`}</bdi>}
                isChecked={chosen.includes(`${family}.${name}`)}
                onChange={() => onChange(toggleChoice(draft.values.types, `${family}.${name}`))}
              />
            ))}
          </div>
        ))}
      {error !== null && (
        <p id={`${id}-error`} className="text-sm font-semibold text-mark">
          {error}
        </p>
      )}
    </fieldset>
  );
}
