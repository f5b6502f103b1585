import { expect, test, vi } from "vitest";
import { ApiError, NetworkError } from "./errors";
import { isTransient, retryDelayMs, retryTransient } from "./retry";

const problem = (code: string, status: number, headers: HeadersInit = {}) =>
  new ApiError(new Response(null, { status, headers }), { code });
const sleep = async () => {};

test("transient errors are retried, final ones are not", () => {
  expect(isTransient(new NetworkError(null))).toBe(true);
  expect(isTransient(problem("not_recorded", 503))).toBe(true);
  expect(isTransient(problem("payment_unknown", 503))).toBe(true);
  for (const code of ["sold_out", "limit_reached", "payment_declined", "key_reused", "rate_limited"]) {
    expect(isTransient(problem(code, 409)), code).toBe(false);
  }
});

test("Retry-After sets the delay", () => {
  expect(retryDelayMs(problem("overloaded", 503, { "retry-after": "3" }), 0, 0)).toBe(3_000);
  expect(retryDelayMs(new NetworkError(null), 2, 0.5)).toBe(2_000);
});

test("a lost reply is requested again until it comes", async () => {
  const act = vi
    .fn<() => Promise<string>>()
    .mockRejectedValueOnce(new NetworkError(null))
    .mockRejectedValueOnce(problem("request_in_flight", 409))
    .mockResolvedValue("order");
  expect(await retryTransient(act, { sleep })).toBe("order");
  expect(act).toHaveBeenCalledTimes(3);
});

test("a refusal is thrown at once, and retries end after the last try", async () => {
  const no = vi.fn<() => Promise<void>>().mockRejectedValue(problem("sold_out", 409));
  await expect(retryTransient(no, { sleep })).rejects.toThrow("sold_out");
  expect(no).toHaveBeenCalledTimes(1);
  const lost = vi.fn<() => Promise<void>>().mockRejectedValue(new NetworkError(null));
  await expect(retryTransient(lost, { sleep, tries: 3 })).rejects.toBeInstanceOf(NetworkError);
  expect(lost).toHaveBeenCalledTimes(3);
});
