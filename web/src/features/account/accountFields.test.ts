import { expect, test } from "vitest";
import { ApiError } from "../../lib/errors";
import { unclaimedErrors } from "../../lib/formErrors";
import {
  accountFieldError,
  CURRENT_PASSWORD,
  claimsPointer,
  EMAIL,
  EMAIL_OR_USERNAME,
  formError,
  NEW_PASSWORD,
  PASSWORD,
  USERNAME,
} from "./accountFields";

const SIGN_IN = [EMAIL_OR_USERNAME, PASSWORD];
const REGISTER = [EMAIL, USERNAME, PASSWORD];

function refusal(code: string, ...pointers: string[]) {
  const errors = pointers.map((pointer) => ({ pointer, detail: "is not valid" }));
  return new ApiError(new Response(null, { status: 422 }), { code, errors });
}
const leftFor = (fields: typeof SIGN_IN, error: unknown) =>
  unclaimedErrors(error, (pointer) => claimsPointer(fields, pointer)).map(({ pointer }) => pointer);

test("sign-in shows a malformed name, whichever of the two the server took it for", () => {
  for (const pointer of ["/username", "/email"]) {
    const error = refusal("invalid_body", pointer);
    expect(accountFieldError(EMAIL_OR_USERNAME, error, "a b")).toBe("account.name_wrong");
    expect(accountFieldError(PASSWORD, error, "x")).toBeNull();
    expect(leftFor(SIGN_IN, error)).toEqual([]);
  }
});

test("every error that no field has is left for the form", () => {
  const error = refusal("invalid_body", "/email", "/captcha", "");
  expect(leftFor(REGISTER, error)).toEqual(["/captcha", ""]);
  expect(leftFor(SIGN_IN, refusal("invalid_body", "/name"))).toEqual(["/name"]);
});

test("a refusal about one field is shown there, every other one for the form", () => {
  const taken = refusal("username_taken");
  expect(accountFieldError(USERNAME, taken, "ada")).toBe("refused.username_taken");
  expect(formError(REGISTER, taken)).toBeNull();
  const wrong = refusal("bad_credentials");
  expect(formError(SIGN_IN, wrong)).toBe(wrong);
  expect(formError([CURRENT_PASSWORD, NEW_PASSWORD], wrong)).toBeNull();
  expect(accountFieldError(CURRENT_PASSWORD, wrong, "x")).toBe("account.current_password_wrong");
});

test("a password of the right length that is refused is too common", () => {
  const error = refusal("invalid_body", "/password");
  expect(accountFieldError(PASSWORD, error, "short")).toBe("account.password_wrong");
  expect(accountFieldError(PASSWORD, error, "password1")).toBe("account.password_common");
  expect(accountFieldError(PASSWORD, error, "😀".repeat(7))).toBe("account.password_wrong");
});
