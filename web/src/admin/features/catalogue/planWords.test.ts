import { expect, test } from "vitest";
import { formatText } from "../../../lib/i18n";
import en from "../../texts/en/catalogue.json";
import { inTime, lasting, type Plan, planWords } from "./planWords";

const NOW = Date.parse("2026-11-24T09:00:00Z");
const tell = (key: string, values = {}) => formatText(en[key as keyof typeof en], values, "en");

function plan(change: Partial<Plan> = {}): Plan {
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

test("a sale is told in words: when, what, and how fast its line moves", () => {
  const words = planWords(plan(), NOW, tell, "en");
  expect(words[0]).toMatch(/^Opens in 3 days, on .*2026.*, and runs 2 hours\.$/);
  expect(words.slice(1)).toEqual([
    "The line opens 15 minutes before.",
    "100 units at €49.00 each, 62 % less than the list price.",
    "At most 2 per buyer.",
    "Each order is held for 5 minutes until it is paid.",
    "At 5 per second, a line of 1,000 takes about 3 minutes, as long as there are units.",
    "Whoever is let in has 1 minute and 30 seconds to take a unit.",
  ]);
});

test("what is not known yet is not told, and what opens at once says so", () => {
  const empty = {
    price: null,
    quantity: null,
    limitPerBuyer: null,
    startsMs: null,
    endsMs: null,
    holdS: null,
  };
  expect(planWords(plan({ ...empty, fifo: null }), NOW, tell, "en")).toEqual([
    "No line: whoever is first buys.",
  ]);
  const now = planWords(plan({ startsMs: NOW - 1, endsMs: NOW + 3_600_000, holdS: 0 }), NOW, tell, "en");
  expect(now[0]).toBe("Opens at once and runs 1 hour.");
  expect(now).toContain("Sold at once, without a payment here.");
  const soon = planWords(plan({ startsMs: NOW + 600_000 }), NOW, tell, "en");
  expect(soon).toContain("The line is open at once.");
  const running = planWords(
    plan({ startsMs: NOW - 3_600_000, endsMs: NOW + 3_600_000, status: "active" }),
    NOW,
    tell,
    "en",
  );
  expect(running[0]).toMatch(/^Open since .*, for 2 hours in all; 1 hour to go\.$/);
});

test("lengths of time are told in two units at most", () => {
  expect(lasting(0, "en")).toBe("0 seconds");
  expect(lasting(7_200, "en")).toBe("2 hours");
  expect(lasting(97_200, "en")).toBe("1 day and 3 hours");
  expect(lasting(86_461, "en")).toBe("1 day");
  expect(lasting(90, "de")).toBe("1 Minute und 30 Sekunden");
  expect(inTime(3 * 86_400, "de")).toBe("in 3 Tagen");
  expect(inTime(5_400, "en")).toBe("in 2 hours");
  expect(inTime(30, "en")).toBe("in 30 seconds");
});
