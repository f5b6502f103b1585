// Creates, edits, tries out or deletes an endpoint of webhooks, and shows its deliveries. Its secret is shown once, after it was made.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { LoadError } from "../../../components/Notices";
import { client, unwrapReply } from "../../../lib/api";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { useTitle } from "../../../lib/useTitle";
import { AdminNotFound } from "../../components/AdminNotFound";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { FormError } from "../../components/FormError";
import { PageHeader } from "../../components/PageHeader";
import { adminKeys } from "../../lib/adminCache";
import { t } from "../../lib/texts";
import { DeliveryList } from "./DeliveryList";
import { useWebhook, type Webhook } from "./queries";
import { SecretNotice } from "./SecretNotice";
import { WebhookForm } from "./WebhookForm";
import { WebhookStatus } from "./WebhookStatus";

/** Secrets that were just made, by endpoint: they survive the change to the endpoint's own page and nothing else. */
const newSecrets = new Map<string, string>();

export default function WebhookPage({ id }: { id?: string }) {
  const query = useWebhook(id ?? null);
  useTitle(t(id === undefined ? "webhook.new" : "webhook.title"));
  if (id === undefined) return <NewWebhook />;
  if (query.isPending) return <div className="skeleton h-96" aria-busy="true" />;
  if (query.data === undefined) {
    return <LoadError error={query.error} onRetry={query.refetch} lost={<AdminNotFound />} />;
  }
  return <KnownWebhook webhook={query.data} />;
}

function NewWebhook() {
  const [, navigate] = useLocation();
  const queries = useQueryClient();
  return (
    <>
      <PageHeader title={t("webhook.new")} />
      <WebhookForm
        webhook={null}
        onSaved={({ secret, ...webhook }) => {
          if (secret !== undefined) newSecrets.set(webhook.id, secret);
          queries.setQueryData(adminKeys.webhook(webhook.id), webhook);
          navigate(`/admin/webhooks/${webhook.id}`, { replace: true });
        }}
      />
    </>
  );
}

type OpenDialog = "rotate" | "delete" | null;

function KnownWebhook({ webhook }: { webhook: Webhook }) {
  const queries = useQueryClient();
  const { id, disabledReason } = webhook;
  const [secret, setSecret] = useState<string | null>(() => {
    const made = newSecrets.get(id) ?? null;
    newSecrets.delete(id);
    return made;
  });
  const [dialog, setDialog] = useState<OpenDialog>(null);
  const [result, setResult] = useState("");
  const params = { path: { id } };
  const refresh = () => queries.invalidateQueries({ queryKey: adminKeys.webhooks });
  const sendTest = useSubmitOnce({
    mutationFn: () => unwrapReply(client.POST("/api/v1/admin/webhooks/{id}/test", { params })),
    onSuccess: () => {
      setResult(t("webhook.test_sent"));
      return refresh();
    },
  });
  const enable = useSubmitOnce<Webhook, boolean>({
    mutationFn: (enabled) =>
      unwrapReply(client.PATCH("/api/v1/admin/webhooks/{id}", { params, body: { enabled } })),
    onSuccess: (saved) => {
      queries.setQueryData(adminKeys.webhook(id), saved);
      setResult(t(saved.enabled ? "webhook.enabled" : "webhook.switched_off"));
      return refresh();
    },
  });
  const isEnabled = disabledReason === null || disabledReason === undefined;
  return (
    <>
      <PageHeader title={t("webhook.title")}>
        {isEnabled && (
          <button type="button" className="button button-main" onClick={() => sendTest.submit()}>
            {t("webhook.test")}
          </button>
        )}
        <button type="button" className="button button-quiet" onClick={() => enable.submit(!isEnabled)}>
          {t(isEnabled ? "webhook.disable" : "webhook.enable")}
        </button>
        <button type="button" className="button button-quiet" onClick={() => setDialog("rotate")}>
          {t("webhook.rotate")}
        </button>
        <button type="button" className="button button-quiet" onClick={() => setDialog("delete")}>
          {t("webhook.delete")}
        </button>
      </PageHeader>
      <div className="grid gap-6">
        <p className="[overflow-wrap:anywhere]">
          <bdi dir="ltr">{webhook.url}</bdi>
          <br />
          <WebhookStatus webhook={webhook} />
        </p>
        <p role="status" className={result === "" ? "sr-only" : "text-good"}>
          {result}
        </p>
        <FormError error={sendTest.error ?? enable.error} />
        {secret !== null && <SecretNotice secret={secret} onClose={() => setSecret(null)} />}
        <DeliveryList id={id} isEnabled={isEnabled} />
        <WebhookForm webhook={webhook} onSaved={() => void refresh()} />
      </div>
      {dialog === "rotate" && (
        <RotateDialog
          id={id}
          onClose={() => setDialog(null)}
          onDone={(made) => {
            setSecret(made);
            setDialog(null);
            void refresh();
          }}
        />
      )}
      {dialog === "delete" && <DeleteDialog webhook={webhook} onClose={() => setDialog(null)} />}
    </>
  );
}

interface RotateProps {
  id: string;
  onClose: () => void;
  onDone: (secret: string) => void;
}

function RotateDialog({ id, onClose, onDone }: RotateProps) {
  const rotate = useSubmitOnce({
    mutationFn: () =>
      unwrapReply(client.POST("/api/v1/admin/webhooks/{id}/rotate-secret", { params: { path: { id } } })),
    onSuccess: ({ secret }) => onDone(secret),
  });
  return (
    <ConfirmDialog
      title={t("webhook.rotate_title")}
      confirmLabel={t("webhook.rotate_yes")}
      isPending={rotate.isPending}
      onConfirm={() => rotate.submit()}
      onCancel={onClose}
    >
      <p>{t("webhook.rotate_text")}</p>
      <FormError error={rotate.error} />
    </ConfirmDialog>
  );
}

function DeleteDialog({ webhook, onClose }: { webhook: Webhook; onClose: () => void }) {
  const [, navigate] = useLocation();
  const queries = useQueryClient();
  const remove = useSubmitOnce({
    mutationFn: async () => {
      const params = { path: { id: webhook.id } };
      const reply = await client.DELETE("/api/v1/admin/webhooks/{id}", { params });
      if (reply.response.status !== 204) await unwrapReply(Promise.resolve(reply));
    },
    onSuccess: () => {
      navigate("/admin/webhooks");
      queries.removeQueries({ queryKey: adminKeys.webhook(webhook.id) });
      return queries.invalidateQueries({ queryKey: adminKeys.webhooks });
    },
  });
  return (
    <ConfirmDialog
      title={t("webhook.delete_title")}
      confirmLabel={t("webhook.delete_yes")}
      isPending={remove.isPending}
      onConfirm={() => remove.submit()}
      onCancel={onClose}
    >
      <p className="[overflow-wrap:anywhere]">
        <bdi dir="ltr">{webhook.url}</bdi>
      </p>
      <p>{t("webhook.delete_text")}</p>
      <FormError error={remove.error} />
    </ConfirmDialog>
  );
}
