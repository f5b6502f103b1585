import { expect, test } from "vitest";
import { activeFilters, changeSearch, readFilters } from "./useFilters";

test("filters are read from the address, other parameters are ignored", () => {
  expect(readFilters(["q", "status"], "?q=a%26b%25+c&x=1")).toEqual({ q: "a&b% c", status: "" });
  expect(readFilters(["q"], "")).toEqual({ q: "" });
});

test("a change keeps the other filters, and removes empty ones from the address", () => {
  expect(changeSearch("?status=refunded&x=1", { q: "ann@example.com" })).toBe(
    "?status=refunded&x=1&q=ann%40example.com",
  );
  expect(changeSearch("?q=ann&status=refunded", { q: "" })).toBe("?status=refunded");
  expect(changeSearch("?q=ann", { q: "" })).toBe("");
});

test("any text survives the address unchanged", () => {
  for (const q of ["100%25", "a+b", "<script>", "مصباح", "=1+1", "a&b=c#d"]) {
    expect(readFilters(["q"], changeSearch("", { q })).q).toBe(q);
  }
});

test("only filters that are set reach the server", () => {
  expect(activeFilters({ q: "", status: "refunded" })).toEqual({ status: "refunded" });
});
