import { expect, test } from "vitest";
import { ledgerQuery } from "./filters";

test("digits are a ticket, other text is a buyer", () => {
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
