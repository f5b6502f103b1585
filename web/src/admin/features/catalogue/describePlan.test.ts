import { expect, test } from "vitest";
import { formatText } from "../../../lib/i18n";
import en from "../../texts/en/catalogue.json";
import { describePlan, formatLongDuration, type SalePlan } from "./describePlan";

const NOW = Date.parse("2026-11-24T09:00:00Z");
const translate = (key: string, values = {}) => formatText(en[key as keyof typeof en], values, "en");

function plan(change: Partial<SalePlan> = {}): SalePlan {
  return {
    price: { amount: 4900, currency: "EUR" },
    listPrice: { amount: 12_900, currency: "EUR" },
    quantity: 100,
    limitPerBuyer: 2,
    startsMs: NOW + 3 * 86_400_000,
    endsMs: NOW + 3 * 86_400_000 + 7_200_000,
    holdS: 300,
    fifo: { perSecond: 5, checkoutSeconds: 90, lineOpensSecondsBefore: 900, extensionSeconds: 0 },
    status: null,
    ...change,
  };
}

test("a plan is described: timing, units, and the speed of its line", () => {
  const sentences = describePlan(plan(), NOW, translate, "en");
  expect(sentences[0]).toMatch(/^Opens in 3 days, on .*2026.*, and runs 2 hours\.$/);
  expect(sentences.slice(1)).toEqual([
    "The line opens 15 minutes before.",
    "100 units at €49.00 each, 62 % less than the list price.",
    "At most 2 per buyer.",
    "Each order is held for 5 minutes until it is paid.",
    "At 5 per second, a line of 1,000 takes about 3 minutes, as long as there are units.",
    "A buyer who is let in has 1 minute and 30 seconds to take a unit.",
  ]);
});

test("unknown values have no sentence, and a sale that opens at once says so", () => {
  const empty = {
    price: null,
    quantity: null,
    limitPerBuyer: null,
    startsMs: null,
    endsMs: null,
    holdS: null,
  };
  expect(describePlan(plan({ ...empty, fifo: null }), NOW, translate, "en")).toEqual([
    "No line: first come, first served.",
  ]);
  const now = describePlan(
    plan({ startsMs: NOW - 1, endsMs: NOW + 3_600_000, holdS: 0 }),
    NOW,
    translate,
    "en",
  );
  expect(now[0]).toBe("Opens at once and runs 1 hour.");
  expect(now).toContain("Sold at once, without a payment here.");
  const soon = describePlan(plan({ startsMs: NOW + 600_000 }), NOW, translate, "en");
  expect(soon).toContain("The line is open at once.");
  const running = describePlan(
    plan({ startsMs: NOW - 3_600_000, endsMs: NOW + 3_600_000, status: "active" }),
    NOW,
    translate,
    "en",
  );
  expect(running[0]).toMatch(/^Open since .*, for 2 hours in all; 1 hour to go\.$/);
});

test("durations have two units at most", () => {
  expect(formatLongDuration(0, "en")).toBe("0 seconds");
  expect(formatLongDuration(7_200, "en")).toBe("2 hours");
  expect(formatLongDuration(97_200, "en")).toBe("1 day and 3 hours");
  expect(formatLongDuration(86_461, "en")).toBe("1 day");
  expect(formatLongDuration(90, "de")).toBe("1 Minute und 30 Sekunden");
});
