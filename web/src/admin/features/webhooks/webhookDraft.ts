// The form of an endpoint: its values, their validation, and the request body.

import type { components } from "../../../api/schema";
import type { FieldErrors, FormValues, PointerMap } from "../../lib/formDraft";
import { countCharacters } from "../../lib/parseFields";
import type { Webhook } from "./queries";

export type WebhookField = "url" | "description" | "types" | "sales" | "includeEmail";
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

/** Instead of the ids of sales: all of them, also those to come. */
export const ALL_SALES = "*";
/** The server's limit. */
const SALES_MAX = 100;
const URL_LEN_MAX = 2_000;
const DESCRIPTION_LEN_MAX = 500;

export function webhookValues(webhook: Webhook | null): WebhookValues {
  return {
    url: webhook?.url ?? "",
    description: webhook?.description ?? "",
    types: webhook?.types.join(" ") ?? ALL_TYPES,
    sales: webhook?.flashSaleIds.join(" ") || ALL_SALES,
    includeEmail: webhook?.includeEmail ? "yes" : "",
  };
}

/** The types or ids that a value holds. */
export function splitChoice(choice: string): string[] {
  return choice.split(" ").filter((name) => name !== "");
}

/** The types or ids with one more or one less, in no order that means anything. */
export function toggleChoice(choice: string, name: string): string {
  const chosen = splitChoice(choice).filter((one) => one !== ALL_TYPES && one !== ALL_SALES);
  const rest = chosen.filter((one) => one !== name);
  return (rest.length < chosen.length ? rest : [...chosen, name]).join(" ");
}

/** The chosen sales that the list does not have: older ones, or ones that were deleted. */
export function unlistedSales(choice: string, listed: readonly { id: string }[]): string[] {
  return splitChoice(choice).filter((id) => id !== ALL_SALES && !listed.some((sale) => sale.id === id));
}

/** The sales with the chosen ones first. */
export function sortChosenFirst<T extends { id: string }>(
  sales: readonly T[],
  chosen: readonly string[],
): T[] {
  const isChosen = (sale: T) => chosen.includes(sale.id);
  return [...sales.filter(isChosen), ...sales.filter((sale) => !isChosen(sale))];
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
  if (splitChoice(values.types).length === 0) errors.types = { key: "webhook.types_none" };
  const sales = splitChoice(values.sales).length;
  if (sales === 0) errors.sales = { key: "webhook.sales_none" };
  else if (sales > SALES_MAX) errors.sales = { key: "webhook.sales_too_many", values: { most: SALES_MAX } };
  return errors;
}

/** The request body; the values must be valid. */
export function webhookBody(values: WebhookValues): NewWebhook {
  return {
    url: values.url.trim(),
    types: splitChoice(values.types),
    description: values.description.trim() || null,
    flashSaleIds: splitChoice(values.sales).filter((id) => id !== ALL_SALES),
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
  "/flashSaleIds": { field: "sales", error: { detail: "" } },
  ...Object.fromEntries(
    Array.from({ length: SALES_MAX }, (_, at) => [
      `/flashSaleIds/${at}`,
      { field: "sales", error: { key: "webhook.sale_gone" } } as const,
    ]),
  ),
};
