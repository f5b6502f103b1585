import { expect, test } from "vitest";
import { asked, changed, readFilters } from "./filters";

test("filters are read from the address, whatever else is in it", () => {
  expect(readFilters(["q", "status"], "?q=a%26b%25+c&x=1")).toEqual({ q: "a&b% c", status: "" });
  expect(readFilters(["q"], "")).toEqual({ q: "" });
});

test("a change keeps the other filters, and an empty one is gone from the address", () => {
  expect(changed("?status=refunded&x=1", { q: "ann@example.com" })).toBe(
    "?status=refunded&x=1&q=ann%40example.com",
  );
  expect(changed("?q=ann&status=refunded", { q: "" })).toBe("?status=refunded");
  expect(changed("?q=ann", { q: "" })).toBe("");
});

test("what was typed comes back as it was", () => {
  for (const q of ["100%25", "a+b", "<script>", "مصباح", "=1+1", "a&b=c#d"]) {
    expect(readFilters(["q"], changed("", { q })).q).toBe(q);
  }
});

test("only filters that are set are asked for", () => {
  expect(asked({ q: "", status: "refunded" })).toEqual({ status: "refunded" });
});
