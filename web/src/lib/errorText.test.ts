import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import en from "../texts/en.json";
import { ApiError } from "./errors";
import { describeError } from "./errorText";

/** Codes that only admins, API clients and bugs of the page can get. */
const NOT_FOR_BUYERS = new Set([
  ...["already_in_line", "key_reused", "bad_json", "bad_request", "bad_idempotency_key"],
  ...["bad_policy", "method_not_allowed", "unsupported_media_type", "body_too_large"],
  ...["product_unknown", "product_in_use", "slug_taken", "promise_made", "follower_unknown"],
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

test("an unexpected error shows the request id", () => {
  const response = new Response(null, { status: 418, headers: { "x-request-id": "abc" } });
  expect(describeError(new ApiError(response, {}))).toMatchObject({
    key: "refused.fault",
    values: { id: "abc" },
  });
  expect(describeError(new TypeError("x")).key).toBe("refused.fault");
});
