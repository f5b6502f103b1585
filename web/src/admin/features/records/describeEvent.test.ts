import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { formatText } from "../../../lib/i18n";
import { isolateText } from "../../../lib/isolateText";
import { buyerName } from "../../lib/buyerName";
import en from "../../texts/en/records.json";
import { describeEvent, EVENT_KINDS, type EventKind } from "./describeEvent";
import type { LedgerEvent } from "./queries";

const formats = { who: "ann@example.com", time: (iso: string) => iso.slice(11, 19), money: () => "€49.00" };
const until = "2026-11-27T12:03:20.000Z";
const order = { orderId: "o", quantity: 2 };

function textOf(event: Partial<LedgerEvent> & { kind: EventKind }): string {
  const { key, values } = describeEvent({ seq: 9, at: until, buyerId: "b", ...event }, formats);
  return formatText((en as Record<string, string | object>)[key] as string, values, "en");
}

test("every kind of the schema has a sentence, and every variant of a kind its own", () => {
  const schema = JSON.parse(
    readFileSync(new URL("../../../../../docs/openapi.json", import.meta.url), "utf8"),
  ) as { components: { schemas: { EventKind: { enum: EventKind[] } } } };
  expect([...EVENT_KINDS].sort()).toEqual([...schema.components.schemas.EventKind.enum].sort());
  const policy = { quantity: 10, startsAt: until, endsAt: until, price: { amount: 4900, currency: "EUR" } };
  const all = [
    textOf({ kind: "configured", seq: 1, ...policy }),
    textOf({ kind: "configured", ...policy }),
    textOf({ kind: "paused" }),
    textOf({ kind: "resumed" }),
    textOf({ kind: "closed" }),
    textOf({ kind: "restocked", quantity: 3 }),
    textOf({ kind: "joined", ticket: 12 }),
    textOf({ kind: "left", ticket: 12, admitted: false }),
    textOf({ kind: "left", ticket: 12, admitted: true }),
    textOf({ kind: "admitted", ticket: 12, until }),
    textOf({ kind: "lapsed", ticket: 12 }),
    textOf({ kind: "held", ...order, from: "stock", until }),
    textOf({ kind: "held", ...order, from: "admission", ticket: 12, until }),
    textOf({ kind: "confirmed", ...order, from: "hold" }),
    textOf({ kind: "confirmed", ...order, from: "stock" }),
    textOf({ kind: "released", ...order, reason: "cancelled" }),
    textOf({ kind: "released", ...order, reason: "declined" }),
    textOf({ kind: "released", ...order, reason: "expired" }),
    textOf({ kind: "refunded", ...order, restocked: true }),
    textOf({ kind: "refunded", ...order, restocked: false }),
    textOf({ kind: "extended", ticket: 12, until }),
    textOf({ kind: "payment_begun", ...order, until }),
    textOf({ kind: "payment_ended", ...order }),
  ];
  expect(new Set(all).size).toBe(all.length);
  for (const text of all) expect(text).not.toMatch(/\{\w+\}|undefined|^$/);
  expect(all[9]).toBe("Ticket 12 of ann@example.com was admitted until 12:03:20.");
  expect(all[0]).toContain("10 units at €49.00");
});

test("a kind that this page does not have gets a general sentence", () => {
  const event = { kind: "moved" as EventKind, seq: 3, at: until };
  expect(describeEvent(event, formats)).toEqual({ key: "ledger.said.unknown", values: { kind: "moved" } });
});

test("a name cannot change the direction of its sentence, nor end its isolation", () => {
  expect(isolateText("a\u202eb\u2069c")).toBe("\u2068abc\u2069");
  expect(buyerName("01a1fc31-bccd-7000-8000-0123456789ab", undefined)).toBe("\u2068…0123456789ab\u2069");
});
