// The form of an endpoint: its values, their validation, and the request body.

import type { components } from "../../../api/schema";
import type { FieldErrors, FormValues, PointerMap } from "../../lib/formDraft";
import { countCharacters } from "../../lib/parseFields";
import type { Webhook } from "./queries";

export type WebhookField = "url" | "description" | "types" | "includeEmail";
export type WebhookValues = FormValues<WebhookField>;
type NewWebhook = components["schemas"]["NewWebhook"];

/** Instead of types: all of them. */
export const ALL_TYPES = "*";
/** The server has the same list; it refuses a type that it does not know. */
export const EVENT_TYPES = {
  sale: ["announced", "changed", "started", "paused", "resumed", "closed", "ended", "restocked", "sold_out"],
  line: ["joined", "left", "admitted", "extended", "lapsed"],
  order: ["held", "extended", "confirmed", "expired", "cancelled", "declined", "refunded"],
  payment: ["captured", "declined", "refunded", "disputed"],
} as const;

const URL_LEN_MAX = 2_000;
const DESCRIPTION_LEN_MAX = 500;

export function webhookValues(webhook: Webhook | null): WebhookValues {
  return {
    url: webhook?.url ?? "",
    description: webhook?.description ?? "",
    types: webhook?.types.join(" ") ?? ALL_TYPES,
    includeEmail: webhook?.includeEmail ? "yes" : "",
  };
}

export function splitTypes(types: string): string[] {
  return types.split(" ").filter((name) => name !== "");
}

/** The types with one more or one less, in no order that means anything. */
export function toggleType(types: string, name: string): string {
  const chosen = splitTypes(types).filter((type) => type !== ALL_TYPES);
  const rest = chosen.filter((type) => type !== name);
  return (rest.length < chosen.length ? rest : [...chosen, name]).join(" ");
}

export function validateWebhook(values: WebhookValues): FieldErrors<WebhookField> {
  const errors: FieldErrors<WebhookField> = {};
  const url = values.url.trim();
  if (url === "") errors.url = { key: "form.required" };
  else if (countCharacters(url) > URL_LEN_MAX)
    errors.url = { key: "form.too_long", values: { most: URL_LEN_MAX } };
  else if (!/^https?:\/\/[^\s/]/i.test(url)) errors.url = { key: "webhook.url_wrong" };
  if (countCharacters(values.description) > DESCRIPTION_LEN_MAX) {
    errors.description = { key: "form.too_long", values: { most: DESCRIPTION_LEN_MAX } };
  }
  if (splitTypes(values.types).length === 0) errors.types = { key: "webhook.types_none" };
  return errors;
}

/** The request body; the values must be valid. */
export function webhookBody(values: WebhookValues): NewWebhook {
  return {
    url: values.url.trim(),
    types: splitTypes(values.types),
    description: values.description.trim() || null,
    includeEmail: values.includeEmail !== "",
  };
}

/** The fields that differ from the endpoint. */
export function webhookChanges(values: WebhookValues, webhook: Webhook): Partial<NewWebhook> {
  const before = webhookBody(webhookValues(webhook));
  const changed = Object.entries(webhookBody(values)).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name as keyof NewWebhook]),
  );
  return Object.fromEntries(changed);
}

export const WEBHOOK_POINTERS: PointerMap<WebhookField> = {
  "/url": { field: "url", error: { detail: "" } },
  "/types": { field: "types", error: { key: "webhook.types_none" } },
  "/description": { field: "description", error: { detail: "" } },
};
