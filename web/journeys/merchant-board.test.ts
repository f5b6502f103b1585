// The merchant watches a sale, and shares what it came to: every figure on the page is one of the ledger.

import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { look } from "./look";
import { register, Shop, signIn } from "./shop";

const shop = new Shop();
beforeAll(() => shop.open());
afterAll(() => shop.close());

/** Each looks at several pages in all sizes and colours. */
const LONG_MS = 180_000;
const FIFO = { type: "fifo", perSecond: 4, checkoutSeconds: 600, lineOpensSecondsBefore: 3_600 };
const NAMES = ["ada", "bob", "cyd", "dan", "eve", "fay", "gil", "hal"] as const;

async function merchant(path: string): Promise<Page> {
  const person = await shop.person({ permissions: ["clipboard-read", "clipboard-write"] });
  const page = await person.newPage();
  await page.goto(`/sign-in?to=${encodeURIComponent(path)}`);
  await signIn(page, "boss@example.com");
  return page;
}

/** Waits until an element has the figure that the API tells. */
async function shows(page: Page, selector: string, count: number): Promise<void> {
  await page.locator(`${selector}[data-count="${count}"]`).first().waitFor({ timeout: 10_000 });
}

async function refusedTo(work: Promise<unknown>, code: string): Promise<void> {
  await expect(work).rejects.toThrow(code);
}

/** How often each kind of event is in the sale's ledger. */
async function ledger(id: string): Promise<Record<string, number>> {
  const kinds: Record<string, number> = {};
  for (let cursor = ""; ; ) {
    const page = await shop.asAdmin("GET", `/flash-sales/${id}/events?limit=200${cursor}`);
    for (const { kind } of page.items) kinds[kind] = (kinds[kind] ?? 0) + 1;
    if (page.nextCursor === null) return kinds;
    cursor = `&cursor=${page.nextCursor}`;
  }
}

/** What the page says of the sale, held against what the API says of it. */
async function agrees(page: Page, id: string): Promise<void> {
  const { sale, refusals } = await shop.asAdmin("GET", `/flash-sales/${id}/overview`);
  for (const part of ["sold", "held", "admitted", "available"]) {
    await shows(page, `[data-units="${part}"]`, sale[part]);
  }
  for (const { code, count } of refusals) await shows(page, `[data-refusal="${code}"]`, count);
  const { totals } = await shop.asAdmin("GET", `/flash-sales/${id}/summary`);
  for (const step of ["joined", "admitted", "ordered", "confirmed", "declined", "left"]) {
    await shows(page, `[data-funnel="${step}"]`, totals[step]);
  }
}

test(
  "the board tells the truth of a sale while it runs, is paused, and the server restarts",
  async () => {
    const wish = { slug: "board", quantity: 6, startsInS: 12, admission: FIFO };
    const { id } = await shop.sale({ ...wish, name: "Aurora <b>lamp</b>" });
    const page = await merchant(`/admin/sales/${id}`);
    const outside: string[] = [];
    page.on("request", (request) => {
      if (!request.url().startsWith(shop.address)) outside.push(request.url());
    });
    const complaints: string[] = [];
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await page.locator('[data-board="upcoming"]').waitFor();
    await page.getByText("The line is open: buyers can join already.").waitFor();
    await page.getByText("Charts appear with the first buyer.").waitFor();

    const token: Record<string, string> = {};
    for (const name of NAMES) {
      token[name] = (await shop.stranger(name)).token;
      await shop.call("POST", "/queue/join", { flashSaleId: id }, token[name]);
    }
    await page.locator('[data-figure="waiting"] dd', { hasText: /^8$/ }).waitFor();
    await look(page, "board-upcoming");
    await page.locator('[data-board="active"]').waitFor({ timeout: 20_000 });
    await shows(page, '[data-units="admitted"]', 6);

    const buy = (name: string) => shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, token[name]);
    const pay = (order: string, name: string, how: string) =>
      shop.call("POST", `/orders/${order}/pay`, { method: `sandbox:${how}` }, token[name]);
    const orders = [];
    for (const name of NAMES.slice(0, 4)) orders.push((await buy(name)).id);
    await refusedTo(buy("hal"), "not_admitted");
    await refusedTo(buy("hal"), "not_admitted");
    await pay(orders[0], "ada", "approve");
    await pay(orders[1], "bob", "approve");
    await refusedTo(pay(orders[2], "cyd", "decline"), "payment_declined");
    await shop.call("DELETE", `/queue/leave?flashSaleId=${id}`, undefined, token.fay);
    await shows(page, '[data-funnel="declined"]', 1);
    await shows(page, '[data-refusal="not_admitted"]', 2);
    await agrees(page, id);
    await page.locator('[data-figure="revenue"] dd', { hasText: "€98.00" }).waitFor();
    await page
      .getByRole("img", { name: /^Orders\. At most/ })
      .first()
      .waitFor();
    await look(page, "board-running");
    expect(complaints).toEqual([]);

    await shop.asAdmin("POST", `/flash-sales/${id}/pause`);
    await page.locator('[data-board="paused"]').waitFor();
    await page.getByText("The sale is paused.").waitFor();
    await look(page, "board-paused");

    await shop.stopServer();
    await page.getByText(/^No connection to the shop: these figures are from/).waitFor();
    await look(page, "board-cut");
    await shop.startServer();
    await page.getByText(/^No connection to the shop/).waitFor({ state: "detached", timeout: 20_000 });
    await agrees(page, id);
    await page.reload();
    await agrees(page, id);
    expect(outside).toEqual([]);
  },
  LONG_MS,
);

test(
  "the summary is the ledger's, says when it is not the last word, and can be taken along",
  async () => {
    const { id } = await shop.sale({ slug: "sum", quantity: 2, name: "Aurora <b>lamp</b>", admission: FIFO });
    const page = await merchant(`/admin/sales/${id}/summary`);
    await page.getByText(/^So far: the sale is not over/).waitFor();
    const token: Record<string, string> = {};
    for (const name of ["ike", "jan", "kim"]) {
      token[name] = (await shop.stranger(name)).token;
      await shop.call("POST", "/queue/join", { flashSaleId: id }, token[name]);
    }
    await shows(page, '[data-units="admitted"]', 2);
    for (const name of ["ike", "jan"]) {
      const order = await shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, token[name]);
      await shop.call("POST", `/orders/${order.id}/pay`, { method: "sandbox:approve" }, token[name]);
    }
    await refusedTo(shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, token.kim), "sold_out");
    await look(page, "summary-so-far");
    await shop.asAdmin("POST", `/flash-sales/${id}/close`);
    await page.locator('[data-summary="final"]').waitFor({ timeout: 15_000 });

    const kinds = await ledger(id);
    const row = (mark: string) => page.locator(`[data-row="${mark}"] dd`);
    const has = (mark: string, text: RegExp) =>
      row(mark).filter({ hasText: text }).waitFor({ timeout: 10_000 });
    await has("joined", new RegExp(`^${kinds.joined}$`));
    await has("admitted", new RegExp(`^${kinds.admitted}\\b`));
    await has("confirmed", new RegExp(`^${kinds.confirmed}\\b`));
    await has("sold", /^2 of 2$/);
    await has("through", /^100%$/);
    await has("revenue", /^€98\.00$/);
    await has("buyers", /^2$/);
    await has("sold-out", /sec|ms|min/);
    await page.getByText("2 buyers were let in, in the order of their tickets").waitFor();
    await look(page, "summary-final");

    await page.getByRole("button", { name: "Copy as text" }).click();
    await page.getByText("Copied").waitFor();
    const copied = await page.evaluate("navigator.clipboard.readText()");
    expect(copied).toContain("- Units sold: 2 of 2\n");

    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download" }).click();
    const file = await (await download).path();
    const html = readFileSync(file, "utf8");
    expect(html).toContain("Aurora &lt;b&gt;lamp&lt;/b&gt;");
    expect(html).not.toMatch(/<script|src=|href=|@import/);
    const copy = await page.context().newPage();
    const asked: string[] = [];
    copy.on("request", (request) => asked.push(request.url()));
    await copy.setContent(html);
    await look(copy, "summary-file");
    expect(await copy.locator("svg").count()).toBe(4);
    expect(asked).toEqual([]);

    await page.emulateMedia({ media: "print" });
    expect(await page.getByRole("button", { name: "Download" }).count()).toBe(0);
    expect(await page.locator("header").isVisible()).toBe(false);
    const folder = process.env.DOORBUSTER_SHOTS;
    if (folder) await page.pdf({ path: `${folder}/summary.pdf` });
  },
  LONG_MS,
);

test(
  "an open sale needs no line on its board, Arabic reads from the right, and buyers see none of it",
  async () => {
    const { id } = await shop.sale({ slug: "open-board", quantity: 3 });
    const { token } = await shop.stranger("lea");
    await shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, token);
    const page = await merchant(`/admin/sales/${id}`);
    await shows(page, '[data-units="held"]', 1);
    await shows(page, '[data-funnel="ordered"]', 1);
    expect(await page.locator('[data-figure="waiting"]').count()).toBe(0);
    await page.getByLabel("Language").selectOption("ar");
    await page.getByText("المخزون: 3 وحدات").or(page.getByText("المخزون: ٣ وحدات")).waitFor();
    await look(page, "board-ar");
    await shop.asAdmin("POST", `/flash-sales/${id}/close`);
    await page.locator('[data-board="closed"]').waitFor({ timeout: 15_000 });
    await page.getByLabel("اللغة").selectOption("en");
    await page.getByText("1 unit is still held for payment.").waitFor();
    await page.getByRole("link", { name: "See the summary" }).click();
    await page.getByText("1 unit is still held for payment: the figures may change.").waitFor();
    await page.goto("/admin/sales/01a1fc31-0000-7000-8000-000000000000");
    await page.getByText("There is no such sale.").waitFor();

    const buyer = await (await shop.person()).newPage();
    await buyer.goto(`/register?to=${encodeURIComponent(`/admin/sales/${id}`)}`);
    await register(buyer, "mia");
    await buyer.getByRole("heading", { name: "This is for admins" }).waitFor();
  },
  LONG_MS,
);
