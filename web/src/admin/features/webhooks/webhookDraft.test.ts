import { expect, test } from "vitest";
import type { Webhook } from "./queries";
import {
  sortChosenFirst,
  toggleChoice,
  unlistedSales,
  validateWebhook,
  webhookBody,
  webhookChanges,
  webhookValues,
} from "./webhookDraft";

const WEBHOOK = {
  url: "https://example.com/hooks",
  types: ["order.confirmed"],
  flashSaleIds: [],
  description: null,
  includeEmail: false,
} as unknown as Webhook;

test("a new endpoint gets all types unless some are chosen", () => {
  expect(webhookBody({ ...webhookValues(null), url: " https://example.com " })).toEqual({
    url: "https://example.com",
    types: ["*"],
    flashSaleIds: [],
    description: null,
    includeEmail: false,
  });
  const one = toggleChoice("*", "order.held");
  expect(one).toBe("order.held");
  expect(toggleChoice(one, "order.held")).toBe("");
  expect(toggleChoice(one, "line.left")).toBe("order.held line.left");
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

test("an endpoint of some sales keeps to them, and of all when none is named", () => {
  const some = { ...WEBHOOK, flashSaleIds: ["a", "b"] };
  const values = webhookValues(some);
  expect(values.sales).toBe("a b");
  expect(webhookChanges(values, some)).toEqual({});
  expect(webhookChanges({ ...values, sales: toggleChoice(values.sales, "a") }, some)).toEqual({
    flashSaleIds: ["b"],
  });
  expect(webhookChanges({ ...values, sales: "*" }, some)).toEqual({ flashSaleIds: [] });
  expect(webhookValues(WEBHOOK).sales).toBe("*");
  expect(validateWebhook({ ...values, sales: "" }).sales).toEqual({ key: "webhook.sales_none" });
  const ids = Array.from({ length: 101 }, (_, at) => `sale-${at}`);
  expect(validateWebhook({ ...values, sales: ids.join(" ") }).sales).toMatchObject({
    key: "webhook.sales_too_many",
  });
  expect(validateWebhook({ ...values, sales: ids.slice(1).join(" ") }).sales).toBeUndefined();
});

test("a chosen sale that the list does not have stays chosen", () => {
  expect(unlistedSales("a b", [{ id: "b" }])).toEqual(["a"]);
  expect(unlistedSales("*", [])).toEqual([]);
});

test("the chosen sales come first, each group in its order", () => {
  const sales = ["a", "b", "c", "d"].map((id) => ({ id }));
  const sorted = sortChosenFirst(sales, ["d", "b", "gone"]);
  expect(sorted.map(({ id }) => id)).toEqual(["b", "d", "a", "c"]);
  expect(sortChosenFirst(sales, [])).toEqual(sales);
});
