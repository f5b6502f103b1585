import { expect, test } from "vitest";
import { ledgerQuery, orderQuery } from "./recordFilters";

const none = { q: "", status: "", sale: "", from: "", to: "" };

test("the last day of a search is meant whole", () => {
  const { from, to } = orderQuery({ ...none, from: "2026-11-27", to: "2026-11-27" });
  expect(Date.parse(to ?? "") - Date.parse(from ?? "")).toBe(86_400_000);
  expect(orderQuery({ ...none, from: "soon" })).toEqual({});
});

test("digits are a ticket, everything else is a buyer", () => {
  const ledger = { kind: "", who: "", order: "", seq: "" };
  expect(ledgerQuery(ledger)).toEqual({ order: "desc" });
  expect(ledgerQuery({ ...ledger, who: "12", order: "asc", seq: "40" })).toEqual({
    order: "asc",
    ticket: 12,
    from: 40,
  });
  expect(ledgerQuery({ ...ledger, who: "ann@example.com", kind: "held" })).toEqual({
    order: "desc",
    kind: "held",
    buyer: "ann@example.com",
  });
  expect(ledgerQuery({ ...ledger, who: "9999999999" }).ticket).toBe(0xffff_ffff);
  expect(ledgerQuery({ ...ledger, seq: "x" })).toEqual({ order: "desc" });
});
