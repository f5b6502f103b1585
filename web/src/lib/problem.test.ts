import { expect, test, vi } from "vitest";
import { delayMs, insist, isPassing, Refused, Unreachable } from "./problem";

const refused = (code: string, status: number, headers: HeadersInit = {}) =>
  new Refused(new Response(null, { status, headers }), { code });
const sleep = async () => {};

test("what may pass is tried again, what is final is not", () => {
  expect(isPassing(new Unreachable(null))).toBe(true);
  expect(isPassing(refused("not_recorded", 503))).toBe(true);
  expect(isPassing(refused("payment_unknown", 503))).toBe(true);
  for (const code of ["sold_out", "limit_reached", "payment_declined", "key_reused", "rate_limited"]) {
    expect(isPassing(refused(code, 409)), code).toBe(false);
  }
});

test("the server's word on when to come back is kept", () => {
  expect(delayMs(refused("overloaded", 503, { "retry-after": "3" }), 0, 0)).toBe(3_000);
  expect(delayMs(new Unreachable(null), 2, 0.5)).toBe(2_000);
});

test("a lost answer is asked for until it comes", async () => {
  const act = vi
    .fn<() => Promise<string>>()
    .mockRejectedValueOnce(new Unreachable(null))
    .mockRejectedValueOnce(refused("request_in_flight", 409))
    .mockResolvedValue("order");
  expect(await insist(act, { sleep })).toBe("order");
  expect(act).toHaveBeenCalledTimes(3);
});

test("a refusal is told at once, and trying ends", async () => {
  const no = vi.fn<() => Promise<void>>().mockRejectedValue(refused("sold_out", 409));
  await expect(insist(no, { sleep })).rejects.toThrow("sold_out");
  expect(no).toHaveBeenCalledTimes(1);
  const lost = vi.fn<() => Promise<void>>().mockRejectedValue(new Unreachable(null));
  await expect(insist(lost, { sleep, tries: 3 })).rejects.toBeInstanceOf(Unreachable);
  expect(lost).toHaveBeenCalledTimes(3);
});
