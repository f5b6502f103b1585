import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import en from "../texts/en.json";
import { ApiError } from "./errors";
import { describeError } from "./errorText";

/** Codes that only admins, API clients and bugs of the page can get. */
const NOT_FOR_BUYERS = new Set([
  ...["already_in_line", "key_reused", "bad_json", "bad_request", "bad_idempotency_key"],
  ...["bad_policy", "method_not_allowed", "unsupported_media_type", "body_too_large"],
  ...["account_unknown", "last_admin", "head_too_large", "unknown_coding", "too_many_edits"],
  ...["product_unknown", "product_in_use", "slug_taken", "promise_made", "follower_unknown"],
  ...["refund_too_high", "refund_refused"],
  ...["payment_missing", "webhook_unknown", "delivery_unknown", "webhook_disabled", "mail_unknown"],
  ...["mail_expired", "too_many_webhooks", "public_url_missing"],
]);

test("every code of the API that a buyer can get has a text of its own", () => {
  const docs = readFileSync(new URL("../../../docs/api.md", import.meta.url), "utf8");
  const table = docs.slice(docs.indexOf("## Every code"));
  const codes = [...table.matchAll(/^\|((?: `\w+`,?)+) \|/gm)].flatMap(([, cell]) =>
    [...(cell ?? "").matchAll(/`(\w+)`/g)].map(([, code]) => code ?? ""),
  );
  expect(codes.length).toBeGreaterThan(40);
  for (const code of codes.filter((code) => !NOT_FOR_BUYERS.has(code))) {
    const { key } = describeError(new ApiError(new Response(null, { status: 409 }), { code }));
    expect(key, code).not.toBe("refused.fault");
    expect(en, code).toHaveProperty([key]);
  }
});

test("too many wrong passwords are told apart from too many requests, with the time to wait", () => {
  const limited = (body: object) =>
    describeError(
      new ApiError(new Response(null, { status: 429, headers: { "retry-after": "180" } }), {
        ...{ code: "rate_limited", ...body },
      }),
    );
  vi.stubGlobal("navigator", { languages: ["en"] });
  expect(limited({ limit: "guess" })).toEqual({
    ...{ key: "refused.too_many_guesses", values: { time: "3 minutes" } },
  });
  expect(limited({})).toMatchObject({ key: "refused.rate_limited", values: { count: 180 } });
  vi.unstubAllGlobals();
});

test("an unexpected error shows the request id", () => {
  const response = new Response(null, { status: 418, headers: { "x-request-id": "abc" } });
  expect(describeError(new ApiError(response, {}))).toMatchObject({
    key: "refused.fault",
    values: { id: "abc" },
  });
  expect(describeError(new TypeError("x")).key).toBe("refused.fault");
});
