import { expect, test } from "vitest";
import { orderQuery } from "./filters";

const none = { q: "", status: "", sale: "", from: "", to: "" };

test("the last day of a search is included", () => {
  const { from, to } = orderQuery({ ...none, from: "2026-11-27", to: "2026-11-27" });
  expect(Date.parse(to ?? "") - Date.parse(from ?? "")).toBe(86_400_000);
  expect(orderQuery({ ...none, from: "soon" })).toEqual({});
});
