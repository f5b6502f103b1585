import { expect, test } from "vitest";
import { clockFace, partsLeft, roughly } from "./time";

test("a timer shows nothing left only when nothing is left", () => {
  expect(clockFace(1, "en")).toBe("0:01");
  expect(clockFace(0, "en")).toBe("0:00");
  expect(clockFace(-5_000, "en")).toBe("0:00");
  expect(clockFace(247_000, "en")).toBe("4:07");
  expect(clockFace(90_000_000, "en")).toBe("25:00:00");
  expect(partsLeft(90_061_000)).toEqual({ days: 1, hours: 1, minutes: 1, seconds: 1 });
});

test("an estimate does not pretend to be exact", () => {
  expect(roughly(0)).toEqual({ amount: 10, unit: "second" });
  expect(roughly(31)).toEqual({ amount: 40, unit: "second" });
  expect(roughly(80)).toEqual({ amount: 1, unit: "minute" });
  expect(roughly(610)).toEqual({ amount: 10, unit: "minute" });
  expect(roughly(7_300)).toEqual({ amount: 2, unit: "hour" });
});
