// The records of a sale: orders and refunds, the line and its receipts, attempts, and the ledger.

import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { startTestShop, type TestShop, waitUntil } from "./testShop";

const shop = startTestShop();

const PAY = { method: "sandbox:approve" };
const FORMULA = '=HYPERLINK("http://evil.example") \u202eمصباح <script>alert(1)</script>';
type Buyer = Awaited<ReturnType<TestShop["registerBuyer"]>>;

const placeOrder = (buyer: Buyer, flashSaleId: string) =>
  shop.call("POST", "/orders", { flashSaleId, quantity: 1 }, buyer.token);
const pay = (buyer: Buyer, id: string) => shop.call("POST", `/orders/${id}/pay`, PAY, buyer.token);
const join = (buyer: Buyer, flashSaleId: string) =>
  shop.call("POST", "/queue/join", { flashSaleId }, buyer.token);
const rows = (page: Page) => page.locator("[data-row]");
const query = (page: Page) => Object.fromEntries(new URL(page.url()).searchParams);

async function waitForCount(page: Page, selector: string, expected: number): Promise<void> {
  await page.waitForFunction(
    ([selector, expected]) => document.querySelectorAll(String(selector)).length === expected,
    [selector, expected] as const,
  );
}

async function waitForAdmission(buyer: Buyer, flashSaleId: string): Promise<void> {
  const path = `/queue/position?flashSaleId=${flashSaleId}`;
  const place = () => shop.call("GET", path, undefined, buyer.token);
  await waitUntil(async () => (await place()).status === "admitted", "the buyer is admitted");
}

/** Parses CSV by RFC 4180. */
function parseCsv(text: string): string[][] {
  const table: string[][] = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r]*))(,|\r\n)/g)) {
    table.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain ?? "");
    if (end === "\r\n") table.push([]);
  }
  return table.slice(0, -1);
}

test("orders are searched, filtered, exported and refunded, and a refunded unit goes to the next buyer", async () => {
  const { id } = await shop.createSale({ slug: "rare", name: FORMULA, quantity: 1 });
  const other = await shop.createSale({ slug: "other", quantity: 5, limitPerBuyer: 3 });
  const [ann, bob] = [await shop.registerBuyer("ann"), await shop.registerBuyer("bob-b")];
  const paid = await placeOrder(ann, id);
  await pay(ann, paid.id);
  for (const who of [ann, bob, bob]) await placeOrder(who, other.id);
  await expect(placeOrder(bob, id)).rejects.toThrow("sold_out");

  const page = await shop.openAdminPage("/admin/orders");
  await waitForCount(page, "[data-row]", 4);
  await checkPage(page, "admin-orders");

  await page.getByLabel("Search").fill("ANN@");
  await waitForCount(page, "[data-row]", 2);
  expect(query(page)).toEqual({ q: "ANN@" });
  await page.getByLabel("Status").selectOption("confirmed");
  await waitForCount(page, "[data-row]", 1);
  expect(query(page)).toEqual({ q: "ANN@", status: "confirmed" });
  await page.reload();
  await waitForCount(page, "[data-row]", 1);
  expect(await page.getByLabel("Search").inputValue()).toBe("ANN@");
  await page.goBack();
  await waitForCount(page, "[data-row]", 2);
  await page.goBack();
  await waitForCount(page, "[data-row]", 4);
  expect(await page.getByLabel("Search").inputValue()).toBe("");
  await page.goForward();
  await waitForCount(page, "[data-row]", 2);
  await page.getByRole("button", { name: "Clear filters" }).click();
  await waitForCount(page, "[data-row]", 4);

  await page.getByLabel("Sale").selectOption(other.id);
  await waitForCount(page, "[data-row]", 3);
  await page.getByLabel("From").fill("2020-01-01");
  await page.getByLabel("To").fill("2020-01-02");
  await page.getByText("No order matches.").waitFor();
  expect(query(page)).toEqual({ sale: other.id, from: "2020-01-01", to: "2020-01-02" });
  await checkPage(page, "admin-orders-none");
  await page.getByRole("button", { name: "Clear filters" }).click();
  await page.getByLabel("Search").fill(paid.id.slice(-12));
  await waitForCount(page, "[data-row]", 1);

  await page.getByRole("button", { name: /^Show/ }).click();
  await page.getByText("Paid and confirmed").waitFor();
  await checkPage(page, "admin-order");

  // A refusal of the provider, or a change by another admin, has a text of its own, and changes nothing.
  for (const [status, code, text] of [
    [409, "order_state", "This order is not paid (any more)"],
    [402, "payment_declined", "The payment provider refused"],
  ] as const) {
    const problem = { type: `/problems/${code}`, title: code, detail: code, instance: "/", status, code };
    const body = JSON.stringify(problem);
    await page.route("**/refund", (route) =>
      route.fulfill({ status, contentType: "application/problem+json", body }),
    );
    await page.getByRole("button", { name: "Refund …" }).click();
    await page.getByRole("button", { name: "Refund €49.00" }).click();
    await page.getByText(text).waitFor();
    if (status === 409) await checkPage(page, "admin-refund-refused");
    await page.keyboard.press("Escape");
    await page.unroute("**/refund");
  }

  // The first reply is lost: the page sends the same idempotency key again.
  const keys: (string | undefined)[] = [];
  await page.route("**/refund", async (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    if (keys.length > 1) return route.continue();
    await route.fetch();
    return route.abort();
  });
  await page.getByRole("button", { name: "Refund …" }).click();
  await checkPage(page, "admin-refund");
  await page.getByRole("button", { name: "Refund €49.00" }).dblclick();
  await page.locator("[data-order-status=refunded]").waitFor();
  expect(keys.length).toBe(2);
  expect(new Set(keys).size).toBe(1);
  await page.getByText("the units went back into the sale").waitFor();
  expect(await page.getByRole("button", { name: "Refund …" }).count()).toBe(0);
  expect((await placeOrder(bob, id)).status).toBe("pending");

  await page.getByRole("button", { name: "Clear filters" }).click();
  await waitForCount(page, "[data-row]", 5);
  const saving = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save as CSV" }).dblclick();
  const file = await saving;
  expect(file.suggestedFilename()).toMatch(/^orders-\d{4}-\d\d-\d\d\.csv$/);
  const text = readFileSync(await file.path(), "utf8");
  expect(text.startsWith("\ufefforder_id,")).toBe(true);
  const [head = [], ...table] = parseCsv(text.slice(1));
  expect(table.map((row) => row.length)).toEqual(Array(5).fill(head.length));
  const cell = (row: string[] | undefined, name: string) => row?.[head.indexOf(name)];
  const refunded = table.find((row) => cell(row, "order_id") === paid.id);
  expect(cell(refunded, "product")).toBe(`'${FORMULA}`);
  expect(cell(refunded, "total")).toBe("49.00");
  expect(cell(refunded, "status")).toBe("refunded");
  await page.close();
});

test("the orders of one sale, a refund that keeps the units sold, and pages of fifty", async () => {
  const { id } = await shop.createSale({ slug: "many", quantity: 60, limitPerBuyer: 60 });
  const eve = await shop.registerBuyer("eve");
  for (let n = 0; n < 52; n++) await placeOrder(eve, id);
  const page = await shop.openAdminPage(`/admin/sales/${id}/orders`);
  await waitForCount(page, "[data-row]", 50);
  expect(await page.getByRole("combobox", { name: "Sale", exact: true }).count()).toBe(0);
  await page.getByRole("button", { name: "Show more" }).click();
  await waitForCount(page, "[data-row]", 52);
  const { items } = await shop.callAsAdmin("GET", `/flash-sales/${id}/orders?limit=1`);
  await pay(eve, items[0].id);
  await rows(page).first().locator("[data-order-status=confirmed]").waitFor();
  await rows(page).first().getByRole("button").click();
  // A part of the money leaves the order as it is.
  await page.getByRole("button", { name: "Refund …" }).click();
  await page.getByLabel("Only a part of the money").check();
  await page.getByRole("button", { name: "Refund €49.00" }).click();
  await page.getByText("Please give an amount").waitFor();
  await page.getByLabel("How much").fill("9");
  await checkPage(page, "admin-refund-part");
  await page.getByRole("button", { name: "Refund €9.00" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  expect(await rows(page).first().locator("[data-order-status=confirmed]").count()).toBe(1);
  await page.getByRole("button", { name: "Refund …" }).click();
  await page.getByLabel("Not for sale again").check();
  await page.getByRole("button", { name: "Refund €40.00" }).click();
  await page.getByText("Refunded; the units stay sold").waitFor();
  await page
    .getByRole("link", { name: /in the ledger/ })
    .first()
    .click();
  await page.locator('[data-kind="refunded"]').first().waitFor();
  await page.close();
});

test("the page follows the line, and a receipt is valid for its own buyer only", async () => {
  const admission = { type: "fifo", perSecond: 1, checkoutSeconds: 60, lineOpensSecondsBefore: 3_600 };
  const { id } = await shop.createSale({ slug: "queue", startsInS: 900, admission });
  const [one, two] = [await shop.registerBuyer("one"), await shop.registerBuyer("two")];
  await join(one, id);
  const { receipt } = await join(two, id);
  const page = await shop.openAdminPage(`/admin/sales/${id}/line`);
  await waitForCount(page, "[data-row]", 2);
  const three = await shop.registerBuyer("three");
  await join(three, id);
  await waitForCount(page, "[data-row]", 3);
  await page.getByText("3 buyers wait.").waitFor();
  await checkPage(page, "admin-line");
  await page.getByLabel("Go to a buyer").fill("two@example.com");
  await waitForCount(page, "[data-row]", 2);
  expect(await rows(page).first().textContent()).toContain("two@example.com");
  expect(query(page)).toEqual({ buyer: "two@example.com" });
  await page.getByLabel("Go to a buyer").fill("nobody@example.com");
  await page.getByText("This buyer does not stand in line now.").waitFor();
  await page.goBack();
  await waitForCount(page, "[data-row]", 3);

  const check = async (buyer: string, text: string) => {
    await page.getByLabel("E-mail or number of the buyer").fill(buyer);
    await page.getByLabel("Receipt", { exact: true }).fill(text);
    await page.getByRole("button", { name: "Check", exact: true }).click();
  };
  await check(" TWO@example.com ", ` ${receipt} `);
  await page.getByText("Genuine: this shop gave ticket 2 of this sale to").waitFor();
  await checkPage(page, "admin-receipt");
  for (const [buyer, text] of [
    ["one@example.com", receipt],
    ["two@example.com", receipt.replace(/^2/, "1")],
    ["two@example.com", "<script>alert(1)</script>"],
  ]) {
    await check(buyer, text);
    await page.locator('[data-genuine="false"]').waitFor();
    await check("two@example.com", receipt);
    await page.locator('[data-genuine="true"]').waitFor();
  }
  await page.close();
});

test("attempts have texts, a flood is a count, and filters are in the address", async () => {
  const { id } = await shop.createSale({ slug: "flood", quantity: 1, payment: "none" });
  const [ida, kim] = [await shop.registerBuyer("ida"), await shop.registerBuyer("kim")];
  await placeOrder(ida, id);
  const page = await shop.openAdminPage(`/admin/sales/${id}/attempts`);
  const tooFast = page.getByText("came too fast to be kept");
  // On a busy machine one burst takes several seconds, and none of them has enough for a flood.
  for (let bursts = 0; bursts < 10 && !(await tooFast.isVisible()); bursts++) {
    await Promise.all(Array.from({ length: 700 }, () => placeOrder(kim, id).catch(() => null)));
    await page.reload();
    await tooFast.waitFor({ timeout: 5_000 }).catch(() => null);
  }
  await tooFast.waitFor();
  await page.getByLabel("Result").selectOption("sold_out");
  const flood = page.getByText("requests of this second").first();
  for (let pages = 1; pages < 60 && !(await flood.isVisible()); pages++) {
    await page.getByRole("button", { name: "Show more" }).click();
    await page.waitForFunction((rows) => document.querySelectorAll("[data-row]").length > rows, 50 * pages);
  }
  await flood.waitFor();
  await page.reload();
  await waitForCount(page, "[data-row]", 50);
  await checkPage(page, "admin-attempts");
  await page.getByLabel("Result").selectOption("accepted");
  await waitForCount(page, "[data-row]", 1);
  expect(query(page)).toEqual({ code: "accepted" });
  await page.getByLabel("What was tried").selectOption("join");
  await page.getByText("No attempt matches.").waitFor();
  await page.goBack();
  await waitForCount(page, "[data-row]", 1);
  await page.goBack();
  await page.getByRole("button", { name: "Show more" }).waitFor();
  await page.close();
});

test("the ledger has a sentence for every event, finds those of one buyer, and follows the sale", async () => {
  // All but the last use their turns, also on a busy machine.
  const admission = { type: "fifo", perSecond: 50, checkoutSeconds: 10 };
  const { id } = await shop.createSale({ slug: "story", quantity: 20, limitPerBuyer: 2, admission });
  const names = ["pat", "sam", "lee", "max"];
  const [pat, sam, lee, max] = (await Promise.all(names.map((name) => shop.registerBuyer(name)))) as [
    Buyer,
    Buyer,
    Buyer,
    Buyer,
  ];
  for (const who of [pat, sam, lee, max]) await join(who, id);
  for (const who of [pat, sam, lee, max]) await waitForAdmission(who, id);
  const [first, second] = [await placeOrder(pat, id), await placeOrder(sam, id)];
  await shop.call("DELETE", `/queue/leave?flashSaleId=${id}`, undefined, lee.token);
  await pay(pat, first.id);
  await shop.call("DELETE", `/orders/${second.id}`, undefined, sam.token);
  await shop.callAsAdmin("POST", `/orders/${first.id}/refund`, { restock: true });
  await shop.callAsAdmin("POST", `/flash-sales/${id}/restock`, { quantity: 2 });

  const page = await shop.openAdminPage(`/admin/sales/${id}/ledger`);
  const entries = page.locator("[data-seq]");
  await page.locator('[data-kind="lapsed"]').waitFor({ timeout: 20_000 });
  await shop.callAsAdmin("POST", `/flash-sales/${id}/pause`);
  await page.getByText("The sale was paused.").waitFor();
  for (let n = 0; n < 30; n++) {
    await shop.callAsAdmin("POST", `/flash-sales/${id}/resume`);
    await shop.callAsAdmin("POST", `/flash-sales/${id}/pause`);
  }
  await shop.callAsAdmin("POST", `/flash-sales/${id}/close`);
  await page.getByText("The sale was closed for good.").waitFor();
  await checkPage(page, "admin-ledger");

  await page.getByLabel("Order").selectOption("asc");
  await page.getByText("The sale was announced: 20 units at €49.00 each").waitFor();
  await page.getByRole("button", { name: "Show more" }).click();
  const { version } = await shop.call("GET", `/flash-sales/${id}`);
  await waitForCount(page, "[data-seq]", version);
  const seqs = await entries.evaluateAll((all) => all.map((one) => Number(one.getAttribute("data-seq"))));
  expect(seqs).toEqual(Array.from({ length: version }, (_, index) => index + 1));
  const kinds = await entries.evaluateAll((all) => all.map((one) => one.getAttribute("data-kind")));
  expect(new Set(kinds).size).toBe(14);
  await page.getByText(/^Ticket 4 of .max@example.com. was not used in time/).waitFor();
  await page.getByText(/^Ticket 1 of .pat@example.com. was admitted until \d\d:\d\d:\d\d\.$/).waitFor();

  await page.getByLabel("Buyer or ticket").fill("pat@example.com");
  await waitForCount(page, "[data-seq]", 6);
  const buyerKinds = await entries.evaluateAll((all) => all.map((one) => one.getAttribute("data-kind")));
  expect(buyerKinds).toEqual(["joined", "admitted", "held", "payment_begun", "confirmed", "refunded"]);
  await page.getByText("As recorded").nth(2).click();
  await page.getByText('"from": "admission"').waitFor();
  await checkPage(page, "admin-ledger-buyer");
  await page.getByLabel("Kind").selectOption("refunded");
  await waitForCount(page, "[data-seq]", 1);
  expect(query(page)).toEqual({ order: "asc", who: "pat@example.com", kind: "refunded" });
  await page.goBack();
  await waitForCount(page, "[data-seq]", 6);
  await page.getByLabel("Buyer or ticket").fill("4");
  await waitForCount(page, "[data-seq]", 3);
  await page.getByLabel("Buyer or ticket").fill("");
  await page.getByLabel("From event").fill("7");
  await page.getByRole("button", { name: "Go", exact: true }).click();
  await page.waitForFunction(() => document.querySelector("[data-seq]")?.getAttribute("data-seq") === "7");
  await page.close();

  const arabic = await shop.openAdminPage(`/admin/sales/${id}/ledger?who=pat@example.com`, {
    locale: "ar-EG",
  });
  await waitForCount(arabic, "[data-seq]", 6);
  expect(await arabic.evaluate(() => document.documentElement.dir)).toBe("rtl");
  await checkPage(arabic, "admin-ledger-ar");
  await arabic.goto(`/admin/sales/${id}/orders`);
  await waitForCount(arabic, "[data-row]", 2);
  await checkPage(arabic, "admin-orders-ar");
});
