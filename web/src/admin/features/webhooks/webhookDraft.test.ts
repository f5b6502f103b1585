import { expect, test } from "vitest";
import type { Webhook } from "./queries";
import { toggleType, validateWebhook, webhookBody, webhookChanges, webhookValues } from "./webhookDraft";

const WEBHOOK = {
  url: "https://example.com/hooks",
  types: ["order.confirmed"],
  description: null,
  includeEmail: false,
} as unknown as Webhook;

test("a new endpoint gets all types unless some are chosen", () => {
  expect(webhookBody({ ...webhookValues(null), url: " https://example.com " })).toEqual({
    url: "https://example.com",
    types: ["*"],
    description: null,
    includeEmail: false,
  });
  const one = toggleType("*", "order.held");
  expect(one).toBe("order.held");
  expect(toggleType(one, "order.held")).toBe("");
  expect(toggleType(one, "line.left")).toBe("order.held line.left");
});

test("an address and a type are needed", () => {
  const values = webhookValues(WEBHOOK);
  expect(validateWebhook(values)).toEqual({});
  expect(Object.keys(validateWebhook({ ...values, url: "", types: "" }))).toEqual(["url", "types"]);
  expect(validateWebhook({ ...values, url: "example.com" })).toEqual({ url: { key: "webhook.url_wrong" } });
  expect(validateWebhook({ ...values, url: `https://${"a".repeat(2_000)}` }).url).toMatchObject({
    key: "form.too_long",
  });
});

test("only what was changed is sent", () => {
  expect(webhookChanges(webhookValues(WEBHOOK), WEBHOOK)).toEqual({});
  expect(
    webhookChanges({ ...webhookValues(WEBHOOK), description: "warehouse", includeEmail: "yes" }, WEBHOOK),
  ).toEqual({ description: "warehouse", includeEmail: true });
});
