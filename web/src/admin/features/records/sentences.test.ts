import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { formatText } from "../../../lib/i18n";
import { isolate, nameOf } from "../../lib/names";
import type { LedgerEvent } from "../../lib/recordQueries";
import en from "../../texts/en/records.json";
import { CODES, codeKey } from "./codes";
import { KINDS, type Kind, sentence } from "./sentences";

const words = { who: "ann@example.com", time: (iso: string) => iso.slice(11, 19), money: () => "€49.00" };
const until = "2026-11-27T12:03:20.000Z";
const order = { orderId: "o", quantity: 2 };

function said(event: Partial<LedgerEvent> & { kind: Kind }): string {
  const { key, values } = sentence({ seq: 9, at: until, buyerId: "b", ...event }, words);
  return formatText((en as Record<string, string | object>)[key] as string, values, "en");
}

test("every kind of the schema has a sentence, and every way in which it can happen another one", () => {
  const schema = JSON.parse(
    readFileSync(new URL("../../../../../docs/openapi.json", import.meta.url), "utf8"),
  ) as { components: { schemas: { EventKind: { enum: Kind[] } } } };
  expect([...KINDS].sort()).toEqual([...schema.components.schemas.EventKind.enum].sort());
  const policy = { quantity: 10, startsAt: until, endsAt: until, price: { amount: 4900, currency: "EUR" } };
  const all = [
    said({ kind: "configured", seq: 1, ...policy }),
    said({ kind: "configured", ...policy }),
    said({ kind: "paused" }),
    said({ kind: "resumed" }),
    said({ kind: "closed" }),
    said({ kind: "restocked", quantity: 3 }),
    said({ kind: "joined", ticket: 12 }),
    said({ kind: "left", ticket: 12, admitted: false }),
    said({ kind: "left", ticket: 12, admitted: true }),
    said({ kind: "admitted", ticket: 12, until }),
    said({ kind: "lapsed", ticket: 12 }),
    said({ kind: "held", ...order, from: "stock", until }),
    said({ kind: "held", ...order, from: "admission", ticket: 12, until }),
    said({ kind: "confirmed", ...order, from: "hold" }),
    said({ kind: "confirmed", ...order, from: "stock" }),
    said({ kind: "released", ...order, reason: "cancelled" }),
    said({ kind: "released", ...order, reason: "declined" }),
    said({ kind: "released", ...order, reason: "expired" }),
    said({ kind: "refunded", ...order, restocked: true }),
    said({ kind: "refunded", ...order, restocked: false }),
    said({ kind: "extended", ticket: 12, until }),
  ];
  expect(new Set(all).size).toBe(all.length);
  for (const text of all) expect(text).not.toMatch(/\{\w+\}|undefined|^$/);
  expect(all[9]).toBe("Ticket 12 of ann@example.com was admitted until 12:03:20.");
  expect(all[0]).toContain("10 units at €49.00");
});

test("a kind that is newer than this page is told as one", () => {
  const event = { kind: "moved" as Kind, seq: 3, at: until };
  expect(sentence(event, words)).toEqual({ key: "ledger.said.unknown", values: { kind: "moved" } });
});

test("a name cannot turn the sentence around it, nor end its own bounds", () => {
  expect(isolate("a\u202eb\u2069c")).toBe("\u2068abc\u2069");
  expect(nameOf("01a1fc31-bccd-7000-8000-0123456789ab", undefined)).toBe("\u2068…0123456789ab\u2069");
});

test("every code that an attempt can come to is one of the API's, with words", () => {
  const docs = readFileSync(new URL("../../../../../docs/api.md", import.meta.url), "utf8");
  for (const code of CODES) {
    if (code !== "accepted") expect(docs, code).toContain(`\`${code}\``);
    expect(en).toHaveProperty([codeKey(code) ?? ""]);
  }
  expect(codeKey("brand_new")).toBeNull();
});
