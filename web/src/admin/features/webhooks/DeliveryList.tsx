// The deliveries of an endpoint: what was sent, what came of it, when it is tried next, and sending again.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client, unwrapReply } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { SelectField } from "../../components/FilterFields";
import { FormError } from "../../components/FormError";
import { RecordList } from "../../components/RecordList";
import { type Column, RecordTable } from "../../components/RecordTable";
import { ResendFailed } from "../../components/ResendFailed";
import { adminKeys } from "../../lib/adminCache";
import { type AdminTextKey, t } from "../../lib/texts";
import { formatTimestamp } from "../../lib/timestamps";
import { useFilters } from "../../lib/useFilters";
import { DELIVERY_FILTERS, type Delivery, useDeliveries } from "./queries";

const STATES = ["pending", "delivered", "failed"] as const;
const STATE_TEXTS: Record<string, AdminTextKey> = {
  pending: "webhook.state.pending",
  delivered: "webhook.state.delivered",
  failed: "webhook.state.failed",
};

export function DeliveryList({ id, isEnabled }: { id: string; isEnabled: boolean }) {
  const queries = useQueryClient();
  const { values, bind } = useFilters(DELIVERY_FILTERS);
  const query = useDeliveries(id, values);
  const [openId, setOpenId] = useState("");
  const [result, setResult] = useState("");
  const refresh = () => queries.invalidateQueries({ queryKey: adminKeys.webhook(id) });
  const resend = useSubmitOnce<unknown, string>({
    mutationFn: (deliveryId) => {
      const params = { path: { id, deliveryId } };
      const path = "/api/v1/admin/webhooks/{id}/deliveries/{deliveryId}/resend";
      return unwrapReply(client.POST(path, { params }));
    },
    onSuccess: () => {
      setResult(t("webhook.resent"));
      return refresh();
    },
  });
  return (
    <section aria-labelledby="deliveries" className="grid gap-4">
      <h2 id="deliveries" className="text-xl">
        {t("webhook.deliveries")}
      </h2>
      <div className="flex flex-wrap items-end justify-between gap-4">
        <search className="flex flex-wrap gap-4">
          <SelectField
            filter={bind("state")}
            label={t("webhook.state")}
            options={[
              { value: "", text: t("webhook.state.any") },
              ...STATES.map((value) => ({ value, text: t(`webhook.state.${value}`) })),
            ]}
          />
        </search>
        {isEnabled && (
          <ResendFailed
            label={t("webhook.failed_since")}
            buttonText={t("webhook.resend_failed")}
            resend={(since) => {
              const options = { params: { path: { id } }, body: { since } };
              return unwrapReply(client.POST("/api/v1/admin/webhooks/{id}/resend-failed", options));
            }}
            onDone={(count) => {
              setResult(t("webhook.resent_failed", { count }));
              return refresh();
            }}
          />
        )}
      </div>
      <p role="status" className={result === "" ? "sr-only" : "text-good"}>
        {result}
      </p>
      <FormError error={resend.error} />
      <RecordList
        query={query}
        emptyText={t(values.state === "" ? "webhook.no_deliveries_yet" : "webhook.no_deliveries")}
      >
        {(deliveries, isStale) => (
          <RecordTable
            caption={t("webhook.deliveries")}
            columns={deliveryColumns(openId, setOpenId, isEnabled ? resend.submit : null)}
            rows={deliveries}
            keyOf={(delivery) => delivery.id}
            isStale={isStale}
            details={(delivery) => delivery.id === openId && <DeliveryDetails delivery={delivery} />}
          />
        )}
      </RecordList>
    </section>
  );
}

function deliveryColumns(
  openId: string,
  setOpenId: (id: string) => void,
  resend: ((id: string) => void) | null,
): Column<Delivery>[] {
  return [
    {
      key: "type",
      name: t("webhook.event"),
      cell: ({ type }) => (
        <bdi dir="ltr" className="[overflow-wrap:anywhere] rtl:text-right">
          {type}
        </bdi>
      ),
    },
    {
      key: "made",
      name: t("webhook.made"),
      cell: ({ createdAt }) => <time dateTime={createdAt}>{formatTimestamp(createdAt, locale())}</time>,
    },
    { key: "state", name: t("webhook.state"), cell: (delivery) => <DeliveryStatus delivery={delivery} /> },
    {
      key: "tries",
      name: t("webhook.tries"),
      isNumeric: true,
      cell: ({ tries }) => new Intl.NumberFormat(locale()).format(tries),
    },
    {
      key: "reply",
      name: t("webhook.reply"),
      cell: ({ lastStatus, lastError }) => (
        <bdi dir="ltr" className="[overflow-wrap:anywhere] rtl:text-right">
          {lastStatus ?? lastError ?? "–"}
        </bdi>
      ),
    },
    {
      key: "actions",
      name: t("webhook.actions"),
      cell: ({ id }) => (
        <span className="flex flex-wrap gap-x-4">
          <button
            type="button"
            className="text-link md:py-1"
            aria-expanded={id === openId}
            onClick={() => setOpenId(id === openId ? "" : id)}
          >
            {t(id === openId ? "webhook.hide" : "webhook.show")}
            <span className="sr-only"> {t("webhook.number", { id: id.slice(-12) })}</span>
          </button>
          {resend !== null && (
            <button type="button" className="text-link md:py-1" onClick={() => resend(id)}>
              {t("webhook.resend")}
              <span className="sr-only"> {t("webhook.number", { id: id.slice(-12) })}</span>
            </button>
          )}
        </span>
      ),
    },
  ];
}

function DeliveryStatus({ delivery }: { delivery: Delivery }) {
  const { state, nextTryAt, tries } = delivery;
  const key = STATE_TEXTS[state] ?? "webhook.state.pending";
  const colour = state === "delivered" ? "text-good" : state === "failed" ? "text-mark" : "";
  return (
    <span data-delivery-state={state}>
      <span className={`font-semibold ${colour}`}>{t(key)}</span>
      {nextTryAt && tries > 0 && (
        <span className="block text-sm text-soft">
          {t("webhook.next_try", { time: formatTimestamp(nextTryAt, locale()) })}
        </span>
      )}
    </span>
  );
}

function DeliveryDetails({ delivery }: { delivery: Delivery }) {
  const { event, eventId, lastReply, lastError } = delivery;
  const texts: [AdminTextKey, string | null | undefined][] = [
    ["webhook.event_id", eventId],
    ["webhook.error", lastError],
    ["webhook.reply_text", lastReply],
    ["webhook.request", JSON.stringify(event, null, 2)],
  ];
  return (
    <dl className="grid gap-3">
      {texts.map(
        ([key, text]) =>
          text && (
            <div key={key} className="grid gap-1">
              <dt className="text-sm font-semibold">{t(key)}</dt>
              <dd>
                <pre dir="ltr" className="whitespace-pre-wrap text-sm [overflow-wrap:anywhere]">
                  {text}
                </pre>
              </dd>
            </div>
          ),
      )}
    </dl>
  );
}
