// The board and the summary of a sale: every figure on the page is the one in the ledger.

import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { register, startTestShop } from "./testShop";

const shop = startTestShop();

/** Each test checks several pages in all sizes and colour schemes. */
const LONG_MS = 180_000;
const FIFO = { type: "fifo", perSecond: 4, checkoutSeconds: 600, lineOpensSecondsBefore: 3_600 };
const NAMES = ["ada", "bob", "cyd", "dan", "eve", "fay", "gil", "hal"] as const;

/** Waits until an element has the figure of the API. */
async function waitForCount(page: Page, selector: string, count: number): Promise<void> {
  await page.locator(`${selector}[data-count="${count}"]`).first().waitFor({ timeout: 10_000 });
}

async function expectRefusal(request: Promise<unknown>, code: string): Promise<void> {
  await expect(request).rejects.toThrow(code);
}

/** Counts the events of each kind in the ledger. */
async function countEvents(id: string): Promise<Record<string, number>> {
  const kinds: Record<string, number> = {};
  for (let cursor = ""; ; ) {
    const page = await shop.callAsAdmin("GET", `/flash-sales/${id}/events?limit=200${cursor}`);
    for (const { kind } of page.items) kinds[kind] = (kinds[kind] ?? 0) + 1;
    if (page.nextCursor === null) return kinds;
    cursor = `&cursor=${page.nextCursor}`;
  }
}

/** Compares the figures of the page with those of the API. */
async function compareWithApi(page: Page, id: string): Promise<void> {
  const { sale, refusals } = await shop.callAsAdmin("GET", `/flash-sales/${id}/overview`);
  for (const part of ["sold", "held", "admitted", "available"]) {
    await waitForCount(page, `[data-units="${part}"]`, sale[part]);
  }
  for (const { code, count } of refusals) await waitForCount(page, `[data-refusal="${code}"]`, count);
  const { totals } = await shop.callAsAdmin("GET", `/flash-sales/${id}/summary`);
  for (const step of ["joined", "admitted", "ordered", "confirmed", "declined", "left"]) {
    await waitForCount(page, `[data-funnel="${step}"]`, totals[step]);
  }
}

test(
  "the board is correct while the sale runs, is paused, and the server restarts",
  async () => {
    const token: Record<string, string> = {};
    for (const name of NAMES) token[name] = (await shop.registerBuyer(name)).token;
    const options = { slug: "board", quantity: 6, startsInS: 30, admission: FIFO };
    const { id } = await shop.createSale({ ...options, name: "Aurora <b>lamp</b>" });
    const page = await shop.openAdminPage(`/admin/sales/${id}`);
    const externalRequests: string[] = [];
    page.on("request", (request) => {
      if (!request.url().startsWith(shop.address)) externalRequests.push(request.url());
    });
    const errors: string[] = [];
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    await page.locator('[data-board="upcoming"]').waitFor();
    await page.getByText("The line is open: buyers can join already.").waitFor();
    await page.getByText("Charts appear with the first buyer.").waitFor();

    for (const name of NAMES) await shop.call("POST", "/queue/join", { flashSaleId: id }, token[name]);
    await page.locator('[data-figure="waiting"] dd', { hasText: /^8$/ }).waitFor();
    await checkPage(page, "board-upcoming");
    await page.locator('[data-board="active"]').waitFor({ timeout: 60_000 });
    await waitForCount(page, '[data-units="admitted"]', 6);

    const buy = (name: string) => shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, token[name]);
    const pay = (order: string, name: string, how: string) =>
      shop.call("POST", `/orders/${order}/pay`, { method: `sandbox:${how}` }, token[name]);
    const orders = [];
    for (const name of NAMES.slice(0, 4)) orders.push((await buy(name)).id);
    await expectRefusal(buy("hal"), "not_admitted");
    await expectRefusal(buy("hal"), "not_admitted");
    await pay(orders[0], "ada", "approve");
    await pay(orders[1], "bob", "approve");
    await expectRefusal(pay(orders[2], "cyd", "decline"), "payment_declined");
    await shop.call("DELETE", `/queue/leave?flashSaleId=${id}`, undefined, token.fay);
    await waitForCount(page, '[data-units="held"]', 2);
    await waitForCount(page, '[data-refusal="not_admitted"]', 2);
    await compareWithApi(page, id);
    await page.locator('[data-figure="revenue"] dd', { hasText: "€98.00" }).waitFor();
    await page
      .getByRole("img", { name: /^Orders\. At most/ })
      .first()
      .waitFor();
    await checkPage(page, "board-running");
    expect(errors).toEqual([]);

    await shop.callAsAdmin("POST", `/flash-sales/${id}/pause`);
    await page.locator('[data-board="paused"]').waitFor();
    await page.getByText("The sale is paused.").waitFor();
    await checkPage(page, "board-paused");

    await shop.stopServer();
    await page.getByText(/^No connection to the shop: these figures are from/).waitFor();
    await checkPage(page, "board-cut");
    await shop.startServer();
    await page.getByText(/^No connection to the shop/).waitFor({ state: "detached", timeout: 20_000 });
    await compareWithApi(page, id);
    await page.reload();
    await compareWithApi(page, id);
    expect(externalRequests).toEqual([]);
  },
  LONG_MS,
);

test(
  "the summary matches the ledger, says when it is preliminary, and can be downloaded",
  async () => {
    const { id } = await shop.createSale({
      slug: "sum",
      quantity: 2,
      name: "Aurora <b>lamp</b>",
      admission: FIFO,
    });
    const permissions = ["clipboard-read", "clipboard-write"];
    const page = await shop.openAdminPage(`/admin/sales/${id}/summary`, { permissions });
    await page.getByText(/^So far: the sale is not over/).waitFor();
    const token: Record<string, string> = {};
    for (const name of ["ike", "jan", "kim"]) {
      token[name] = (await shop.registerBuyer(name)).token;
      await shop.call("POST", "/queue/join", { flashSaleId: id }, token[name]);
    }
    await waitForCount(page, '[data-units="admitted"]', 2);
    for (const name of ["ike", "jan"]) {
      const order = await shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, token[name]);
      await shop.call("POST", `/orders/${order.id}/pay`, { method: "sandbox:approve" }, token[name]);
    }
    await expectRefusal(
      shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, token.kim),
      "sold_out",
    );
    await checkPage(page, "summary-so-far");
    await shop.callAsAdmin("POST", `/flash-sales/${id}/close`);
    await page.locator('[data-summary="final"]').waitFor({ timeout: 15_000 });

    const kinds = await countEvents(id);
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
    await checkPage(page, "summary-final");

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
    const requests: string[] = [];
    copy.on("request", (request) => requests.push(request.url()));
    await copy.setContent(html);
    await checkPage(copy, "summary-file");
    expect(await copy.locator("svg").count()).toBe(4);
    expect(requests).toEqual([]);

    await page.emulateMedia({ media: "print" });
    expect(await page.getByRole("button", { name: "Download" }).count()).toBe(0);
    expect(await page.locator("header").isVisible()).toBe(false);
    const folder = process.env.DOORBUSTER_SHOTS;
    if (folder) await page.pdf({ path: `${folder}/summary.pdf` });
  },
  LONG_MS,
);

test(
  "the board of a sale without a line has no line, reads from right to left in Arabic, and is for admins only",
  async () => {
    const { id } = await shop.createSale({ slug: "open-board", quantity: 3 });
    const { token } = await shop.registerBuyer("lea");
    await shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, token);
    const page = await shop.openAdminPage(`/admin/sales/${id}`);
    await waitForCount(page, '[data-units="held"]', 1);
    await waitForCount(page, '[data-funnel="ordered"]', 1);
    expect(await page.locator('[data-figure="waiting"]').count()).toBe(0);
    await page.getByLabel("Language").selectOption("ar");
    await page.getByText("المخزون: 3 وحدات").or(page.getByText("المخزون: ٣ وحدات")).waitFor();
    await checkPage(page, "board-ar");
    await shop.callAsAdmin("POST", `/flash-sales/${id}/close`);
    await page.locator('[data-board="closed"]').waitFor({ timeout: 15_000 });
    await page.getByLabel("اللغة").selectOption("en");
    await page.getByText("1 unit is still held for payment.").waitFor();
    await page.getByRole("link", { name: "See the summary" }).click();
    await page.getByText("1 unit is still held for payment: the figures may change.").waitFor();
    await page.goto("/admin/sales/01a1fc31-0000-7000-8000-000000000000");
    await page.getByRole("heading", { name: "There is nothing here" }).waitFor();

    const buyer = await (await shop.newBrowser()).newPage();
    await buyer.goto(`/register?to=${encodeURIComponent(`/admin/sales/${id}`)}`);
    await register(buyer, "mia");
    await buyer.getByRole("heading", { name: "This is for admins" }).waitFor();
  },
  LONG_MS,
);
