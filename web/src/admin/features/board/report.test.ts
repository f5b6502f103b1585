import { expect, test, vi } from "vitest";
import type { Summary } from "./queries";
import { buildReport, formatReportHtml, formatReportText } from "./report";

vi.stubGlobal("navigator", { languages: ["en-GB"] });

const money = (amount: number) => ({ amount, currency: "EUR" });
const span = { count: 3, p50Ms: 1_200, p95Ms: 4_000 };
const summary = {
  sale: {
    product: { name: "A <b>lamp</b> & more" },
    status: "ended",
    startsAt: "2026-11-21T09:00:00.000Z",
    endsAt: "2026-11-21T10:00:00.000Z",
    serverTime: "2026-11-21T11:00:00.000Z",
    price: money(4_900),
    quantity: 10,
    sold: 9,
    held: 0,
    admitted: 0,
    payment: "required",
    admission: { type: "fifo", perSecond: 5, checkoutSeconds: 60, lineOpensSecondsBefore: 0 },
  },
  totals: {
    joined: 40,
    admitted: 12,
    left: 1,
    lapsed: 1,
    ordered: 11,
    confirmed: 10,
    expired: 1,
    cancelled: 0,
    declined: 0,
    refunded: 1,
  },
  orders: [{ status: "refunded", orders: 1, units: 1, total: money(4_900) }],
  revenue: money(44_100),
  buyers: 9,
  refusals: [
    { code: "not_admitted", count: 7 },
    { code: "sold_out", count: 90 },
    { code: "new_code", count: 1 },
  ],
  takenAt: "2026-11-21T09:00:02.500Z",
  soldOutAt: null,
  joinsPeak: { at: "2026-11-21T09:00:00.000Z", count: 30 },
  ordersPeak: null,
  wait: span,
  checkout: null,
  payment: span,
  outOfOrder: 0,
} as unknown as Summary;

const value = (of: Summary, testId: string) =>
  buildReport(of)
    .groups.flatMap(({ rows }) => rows)
    .find((row) => row.testId === testId)?.value;

test("a report has the figures of the summary", () => {
  expect(value(summary, "sold")).toBe("9 of 10");
  expect(value(summary, "through")).toBe("90%");
  expect(value(summary, "refunds")).toContain("49.00");
  expect(value(summary, "taken")).toBe("2.5 secs");
  expect(value(summary, "sold-out")).toBe("not so far");
  expect(value(summary, "joins-peak")).toContain("30 in one second");
  expect(value(summary, "orders-peak")).toBe(undefined);
  expect(value(summary, "confirmed")).toBe("10 (25%)");
  expect(value(summary, "sold_out")).toBe("90");
  expect(value(summary, "wait")).toBe("half within 1.2 secs, 95 of 100 within 4 secs");
  expect(buildReport(summary).fairness[0]).toContain("12 buyers were let in");
});

test("a report is marked as preliminary before the end and while units are held", () => {
  expect(buildReport(summary).soFar).toBe(null);
  expect(buildReport({ ...summary, sale: { ...summary.sale, status: "active" } }).soFar).toContain("So far");
  expect(buildReport({ ...summary, sale: { ...summary.sale, held: 2 } }).soFar).toContain(
    "2 units are still held",
  );
});

test("a line that was not in order is reported", () => {
  expect(buildReport({ ...summary, outOfOrder: 3 }).fairness[0]).toContain("3 buyers were let in after");
});

test("the text has one figure per line", () => {
  const text = formatReportText(buildReport(summary));
  expect(text.split("\n")[0]).toBe("A <b>lamp</b> & more");
  expect(text).toContain("- Units sold: 9 of 10\n");
});

test("the file has no scripts and sends no requests", () => {
  const html = formatReportHtml(
    buildReport(summary),
    [{ title: "<i>", description: "x", svg: "<svg></svg>" }],
    {
      code: "en",
      direction: "ltr",
    },
  );
  expect(html).toContain("<h1>A &lt;b&gt;lamp&lt;/b&gt; &amp; more</h1>");
  expect(html).toContain("<figcaption>&lt;i&gt;</figcaption><svg></svg>");
  expect(html).not.toMatch(/<script|src=|href=|url\(http|@import/);
});
