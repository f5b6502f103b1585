// All endpoints of webhooks.

import { Link } from "wouter";
import { LoadError } from "../../../components/Notices";
import { useTitle } from "../../../lib/useTitle";
import { AdminNotFound } from "../../components/AdminNotFound";
import { PageHeader } from "../../components/PageHeader";
import { t } from "../../lib/texts";
import { useWebhooks, type Webhook } from "./queries";
import { WebhookStatus } from "./WebhookStatus";
import { ALL_TYPES } from "./webhookDraft";

export default function WebhooksPage() {
  useTitle(t("nav.webhooks"));
  const { data, error, isPending, refetch } = useWebhooks();
  return (
    <>
      <PageHeader title={t("nav.webhooks")}>
        <Link href="/admin/webhooks/new" className="button button-main">
          {t("webhook.new")}
        </Link>
      </PageHeader>
      <p className="max-w-prose pb-6 text-soft">{t("webhook.intro")}</p>
      {isPending && <div className="skeleton h-64" aria-busy="true" />}
      {!isPending && data === undefined && (
        <LoadError error={error} onRetry={refetch} lost={<AdminNotFound />} />
      )}
      {data !== undefined && data.items.length === 0 && (
        <p className="max-w-prose text-lg text-soft">{t("webhook.none")}</p>
      )}
      {data !== undefined && data.items.length > 0 && (
        <ul className="divide-y divide-line rounded-xl border border-line bg-card">
          {data.items.map((webhook) => (
            <WebhookRow key={webhook.id} webhook={webhook} />
          ))}
        </ul>
      )}
    </>
  );
}

function WebhookRow({ webhook }: { webhook: Webhook }) {
  const { id, url, description, types, flashSaleIds } = webhook;
  return (
    <li className="grid gap-1 px-4 py-3 sm:px-5 md:grid-cols-[minmax(0,1fr)_auto] md:gap-x-6">
      <h2 className="min-w-0 text-lg [overflow-wrap:anywhere]">
        <Link href={`/admin/webhooks/${id}`} className="hover:underline">
          <bdi dir="ltr">{url}</bdi>
        </Link>
      </h2>
      <p className="md:text-end">
        <WebhookStatus webhook={webhook} />
      </p>
      <p className="text-sm text-soft [overflow-wrap:anywhere] md:col-span-2">
        {description && (
          <>
            <bdi>{description}</bdi>
            {" · "}
          </>
        )}
        {types.includes(ALL_TYPES) ? t("webhook.all_types") : <bdi dir="ltr">{types.join(", ")}</bdi>}
        {flashSaleIds.length > 0 && ` · ${t("webhook.of_sales", { count: flashSaleIds.length })}`}
      </p>
    </li>
  );
}
