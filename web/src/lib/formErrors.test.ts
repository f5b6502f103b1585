import { expect, test } from "vitest";
import { ApiError } from "./errors";
import { describeError } from "./errorText";
import { fieldErrors, listErrors, unclaimedErrors } from "./formErrors";

const refusal = (...pointers: string[]) =>
  new ApiError(new Response(null, { status: 422 }), {
    code: "invalid_body",
    errors: pointers.map((pointer) => ({ pointer, detail: "is not valid" })),
  });

test("an error that no field claims is left for the form, whatever its pointer", () => {
  const claims = (pointer: string) => pointer === "/password";
  const error = refusal("/username", "/password", "/payment/method", "");
  expect(unclaimedErrors(error, claims).map(({ pointer }) => pointer)).toEqual([
    "/username",
    "/payment/method",
    "",
  ]);
  expect(unclaimedErrors(refusal("/password"), claims)).toEqual([]);
  expect([fieldErrors(new TypeError("x")), fieldErrors(null)]).toEqual([[], []]);
});

test("a refusal of a form without fields of its own says what the server found wrong", () => {
  expect(listErrors(fieldErrors(refusal("/payment/method", "")))).toBe(
    "payment.method is not valid; is not valid",
  );
  expect(describeError(refusal("/quantity"))).toEqual({
    key: "refused.invalid",
    values: { details: "quantity is not valid" },
  });
  const bare = new ApiError(new Response(null, { status: 422 }), {
    code: "invalid_query",
    detail: "q is odd",
  });
  expect(describeError(bare).values).toEqual({ details: "q is odd" });
});
