// What a merchant looks up: orders and refunds, the line and its receipts, attempts, and the ledger.

import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { look } from "./look";
import { Shop, signIn } from "./shop";

const shop = new Shop();
beforeAll(() => shop.open());
afterAll(() => shop.close());

const PAY = { method: "sandbox:approve" };
const FORMULA = '=HYPERLINK("http://evil.example") \u202eمصباح <script>alert(1)</script>';
type Stranger = Awaited<ReturnType<Shop["stranger"]>>;

/** An admin's page at an address. What runs out of a name ends the journey. */
async function adminAt(path: string, locale = "en-GB"): Promise<Page> {
  const page = await (await shop.person({ locale })).newPage();
  page.on("dialog", () => {
    throw new Error("a name was run");
  });
  // Without the browser's own dialog for files, which no test can press.
  await page.addInitScript("delete window.showSaveFilePicker");
  await page.goto(`/sign-in?to=${encodeURIComponent(path)}`);
  if (locale === "en-GB") await signIn(page, "boss@example.com");
  else {
    await page.locator("input").first().fill("boss@example.com");
    await page.locator("input[type=password]").fill("correct horse battery");
    await page.locator("form button[type=submit]").click();
  }
  return page;
}

const order = (who: Stranger, flashSaleId: string) =>
  shop.call("POST", "/orders", { flashSaleId, quantity: 1 }, who.token);
const pay = (who: Stranger, id: string) => shop.call("POST", `/orders/${id}/pay`, PAY, who.token);
const join = (who: Stranger, flashSaleId: string) =>
  shop.call("POST", "/queue/join", { flashSaleId }, who.token);
const rows = (page: Page) => page.locator("[data-row]");
const query = (page: Page) => Object.fromEntries(new URL(page.url()).searchParams);

async function count(page: Page, selector: string, expected: number): Promise<void> {
  await page.waitForFunction(
    ([selector, expected]) => document.querySelectorAll(String(selector)).length === expected,
    [selector, expected] as const,
  );
}

async function admitted(who: Stranger, flashSaleId: string): Promise<void> {
  for (;;) {
    const path = `/queue/position?flashSaleId=${flashSaleId}`;
    if ((await shop.call("GET", path, undefined, who.token)).status === "admitted") return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Cells as a reader of RFC 4180 has them. */
function parsed(text: string): string[][] {
  const table: string[][] = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r]*))(,|\r\n)/g)) {
    table.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain ?? "");
    if (end === "\r\n") table.push([]);
  }
  return table.slice(0, -1);
}

test("orders are found, filtered, saved and refunded, and a refunded unit goes to the next buyer", async () => {
  const { id } = await shop.sale({ slug: "rare", name: FORMULA, quantity: 1 });
  const other = await shop.sale({ slug: "other", quantity: 5, limitPerBuyer: 3 });
  const [ann, bob] = [await shop.stranger("ann"), await shop.stranger("bob-b")];
  const paid = await order(ann, id);
  await pay(ann, paid.id);
  for (const who of [ann, bob, bob]) await order(who, other.id);
  await expect(order(bob, id)).rejects.toThrow("sold_out");

  const page = await adminAt("/admin/orders");
  await count(page, "[data-row]", 4);
  await look(page, "admin-orders");

  await page.getByLabel("Search").pressSequentially("ANN@", { delay: 30 });
  await count(page, "[data-row]", 2);
  expect(query(page)).toEqual({ q: "ANN@" });
  await page.getByLabel("Status").selectOption("confirmed");
  await count(page, "[data-row]", 1);
  expect(query(page)).toEqual({ q: "ANN@", status: "confirmed" });
  await page.reload();
  await count(page, "[data-row]", 1);
  expect(await page.getByLabel("Search").inputValue()).toBe("ANN@");
  await page.goBack();
  await count(page, "[data-row]", 2);
  await page.goBack();
  await count(page, "[data-row]", 4);
  expect(await page.getByLabel("Search").inputValue()).toBe("");
  await page.goForward();
  await count(page, "[data-row]", 2);
  await page.getByRole("button", { name: "Clear filters" }).click();
  await count(page, "[data-row]", 4);

  await page.getByLabel("Sale").selectOption(other.id);
  await count(page, "[data-row]", 3);
  await page.getByLabel("From").fill("2020-01-01");
  await page.getByLabel("To").fill("2020-01-02");
  await page.getByText("No order is like that.").waitFor();
  expect(query(page)).toEqual({ sale: other.id, from: "2020-01-01", to: "2020-01-02" });
  await look(page, "admin-orders-none");
  await page.getByRole("button", { name: "Clear filters" }).click();
  await page.getByLabel("Search").fill(paid.id.slice(-12));
  await count(page, "[data-row]", 1);

  await page.getByRole("button", { name: /^Show/ }).click();
  await page.getByText("Paid and confirmed").waitFor();
  await look(page, "admin-order");

  // The provider and another admin may be in the way: each is told in words, and nothing has changed.
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
    if (status === 409) await look(page, "admin-refund-refused");
    await page.keyboard.press("Escape");
    await page.unroute("**/refund");
  }

  // The first answer is lost on its way: the same key is sent again.
  const keys: (string | undefined)[] = [];
  await page.route("**/refund", async (route) => {
    keys.push(route.request().headers()["idempotency-key"]);
    if (keys.length > 1) return route.continue();
    await route.fetch();
    return route.abort();
  });
  await page.getByRole("button", { name: "Refund …" }).click();
  await look(page, "admin-refund");
  await page.getByRole("button", { name: "Refund €49.00" }).dblclick();
  await page.locator("[data-order-status=refunded]").waitFor();
  expect(keys.length).toBe(2);
  expect(new Set(keys).size).toBe(1);
  await page.getByText("the units went back into the sale").waitFor();
  expect(await page.getByRole("button", { name: "Refund …" }).count()).toBe(0);
  expect((await order(bob, id)).status).toBe("pending");

  await page.getByRole("button", { name: "Clear filters" }).click();
  await count(page, "[data-row]", 5);
  const saving = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save as CSV" }).dblclick();
  const file = await saving;
  expect(file.suggestedFilename()).toMatch(/^orders-\d{4}-\d\d-\d\d\.csv$/);
  const text = readFileSync(await file.path(), "utf8");
  expect(text.startsWith("\ufefforder_id,")).toBe(true);
  const [head = [], ...table] = parsed(text.slice(1));
  expect(table.map((row) => row.length)).toEqual(Array(5).fill(head.length));
  const cell = (row: string[] | undefined, name: string) => row?.[head.indexOf(name)];
  const refunded = table.find((row) => cell(row, "order_id") === paid.id);
  expect(cell(refunded, "product")).toBe(`'${FORMULA}`);
  expect(cell(refunded, "total")).toBe("49.00");
  expect(cell(refunded, "status")).toBe("refunded");
  await page.close();
});

test("a sale's own orders, kept units, and a page for each fifty", async () => {
  const { id } = await shop.sale({ slug: "many", quantity: 60, limitPerBuyer: 60 });
  const eve = await shop.stranger("eve");
  for (let n = 0; n < 52; n++) await order(eve, id);
  const page = await adminAt(`/admin/sales/${id}/orders`);
  await count(page, "[data-row]", 50);
  expect(await page.getByRole("combobox", { name: "Sale", exact: true }).count()).toBe(0);
  await page.getByRole("button", { name: "Show more" }).click();
  await count(page, "[data-row]", 52);
  const { items } = await shop.asAdmin("GET", `/flash-sales/${id}/orders?limit=1`);
  await pay(eve, items[0].id);
  await rows(page).first().locator("[data-order-status=confirmed]").waitFor();
  await rows(page).first().getByRole("button").click();
  await page.getByRole("button", { name: "Refund …" }).click();
  await page.getByLabel("Not for sale again").check();
  await page.getByRole("button", { name: "Refund €49.00" }).click();
  await page.getByText("Refunded; the units stay sold").waitFor();
  await page
    .getByRole("link", { name: /in the ledger/ })
    .first()
    .click();
  await page.locator('[data-kind="refunded"]').first().waitFor();
  await page.close();
});

test("the line is shown as it moves, and a receipt proves a place only in the right hands", async () => {
  const admission = { type: "fifo", perSecond: 1, checkoutSeconds: 60, lineOpensSecondsBefore: 3_600 };
  const { id } = await shop.sale({ slug: "queue", startsInS: 900, admission });
  const [one, two] = [await shop.stranger("one"), await shop.stranger("two")];
  await join(one, id);
  const { receipt } = await join(two, id);
  const page = await adminAt(`/admin/sales/${id}/line`);
  await count(page, "[data-row]", 2);
  const three = await shop.stranger("three");
  await join(three, id);
  await count(page, "[data-row]", 3);
  await page.getByText("3 buyers wait.").waitFor();
  await look(page, "admin-line");
  await page.getByLabel("Go to a buyer").fill("two@example.com");
  await count(page, "[data-row]", 2);
  expect(await rows(page).first().textContent()).toContain("two@example.com");
  expect(query(page)).toEqual({ buyer: "two@example.com" });
  await page.getByLabel("Go to a buyer").fill("nobody@example.com");
  await page.getByText("This buyer does not stand in line now.").waitFor();
  await page.goBack();
  await count(page, "[data-row]", 3);

  const check = async (buyer: string, text: string) => {
    await page.getByLabel("E-mail or number of the buyer").fill(buyer);
    await page.getByLabel("Receipt", { exact: true }).fill(text);
    await page.getByRole("button", { name: "Check", exact: true }).click();
  };
  await check(" TWO@example.com ", ` ${receipt} `);
  await page.getByText("Genuine: this shop gave ticket 2 of this sale to").waitFor();
  await look(page, "admin-receipt");
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

test("attempts are told in words, a flood as a count, and filters are in the address", async () => {
  const { id } = await shop.sale({ slug: "flood", quantity: 1, holdSeconds: 0 });
  const [ida, kim] = [await shop.stranger("ida"), await shop.stranger("kim")];
  await order(ida, id);
  await Promise.all(Array.from({ length: 700 }, () => order(kim, id).catch(() => null)));
  const page = await adminAt(`/admin/sales/${id}/attempts`);
  await page.getByText("came too fast to be kept").waitFor();
  await page.getByLabel("Result").selectOption("sold_out");
  const flood = page.getByText("requests of this second").first();
  for (let pages = 1; pages < 12 && !(await flood.isVisible()); pages++) {
    await page.getByRole("button", { name: "Show more" }).click();
    await page.waitForFunction((rows) => document.querySelectorAll("[data-row]").length > rows, 50 * pages);
  }
  await flood.waitFor();
  await page.reload();
  await count(page, "[data-row]", 50);
  await look(page, "admin-attempts");
  await page.getByLabel("Result").selectOption("accepted");
  await count(page, "[data-row]", 1);
  expect(query(page)).toEqual({ code: "accepted" });
  await page.getByLabel("What was tried").selectOption("join");
  await page.getByText("No attempt is like that.").waitFor();
  await page.goBack();
  await count(page, "[data-row]", 1);
  await page.goBack();
  await page.getByRole("button", { name: "Show more" }).waitFor();
  await page.close();
});

test("the ledger tells every event in a sentence, finds those of one buyer, and follows the sale", async () => {
  const admission = { type: "fifo", perSecond: 50, checkoutSeconds: 5 };
  const { id } = await shop.sale({ slug: "story", quantity: 20, limitPerBuyer: 2, admission });
  const names = ["pat", "sam", "lee", "max"];
  const [pat, sam, lee, max] = (await Promise.all(names.map((name) => shop.stranger(name)))) as [
    Stranger,
    Stranger,
    Stranger,
    Stranger,
  ];
  for (const who of [pat, sam, lee, max]) await join(who, id);
  for (const who of [pat, sam, lee, max]) await admitted(who, id);
  const [first, second] = [await order(pat, id), await order(sam, id)];
  await shop.call("DELETE", `/queue/leave?flashSaleId=${id}`, undefined, lee.token);
  await pay(pat, first.id);
  await shop.call("DELETE", `/orders/${second.id}`, undefined, sam.token);
  await shop.asAdmin("POST", `/orders/${first.id}/refund`, { restock: true });
  await shop.asAdmin("POST", `/flash-sales/${id}/restock`, { quantity: 2 });

  const page = await adminAt(`/admin/sales/${id}/ledger`);
  const entries = page.locator("[data-seq]");
  await page.locator('[data-kind="lapsed"]').waitFor({ timeout: 15_000 });
  await shop.asAdmin("POST", `/flash-sales/${id}/pause`);
  await page.getByText("The sale was paused.").waitFor();
  for (let n = 0; n < 30; n++) {
    await shop.asAdmin("POST", `/flash-sales/${id}/resume`);
    await shop.asAdmin("POST", `/flash-sales/${id}/pause`);
  }
  await shop.asAdmin("POST", `/flash-sales/${id}/close`);
  await page.getByText("The sale was closed for good.").waitFor();
  await look(page, "admin-ledger");

  await page.getByLabel("Order").selectOption("asc");
  await page.getByText("The sale was announced: 20 units at €49.00 each").waitFor();
  await page.getByRole("button", { name: "Show more" }).click();
  const { version } = await shop.call("GET", `/flash-sales/${id}`);
  await count(page, "[data-seq]", version);
  const seqs = await entries.evaluateAll((all) => all.map((one) => Number(one.getAttribute("data-seq"))));
  expect(seqs).toEqual(Array.from({ length: version }, (_, index) => index + 1));
  const kinds = await entries.evaluateAll((all) => all.map((one) => one.getAttribute("data-kind")));
  expect(new Set(kinds).size).toBe(13);
  await page.getByText(/^Ticket 4 of .max@example.com. was not used in time/).waitFor();
  await page.getByText(/^Ticket 1 of .pat@example.com. was admitted until \d\d:\d\d:\d\d\.$/).waitFor();

  await page.getByLabel("Buyer or ticket").fill("pat@example.com");
  await count(page, "[data-seq]", 5);
  const told = await entries.evaluateAll((all) => all.map((one) => one.getAttribute("data-kind")));
  expect(told).toEqual(["joined", "admitted", "held", "confirmed", "refunded"]);
  await page.getByText("As recorded").nth(2).click();
  await page.getByText('"from": "admission"').waitFor();
  await look(page, "admin-ledger-buyer");
  await page.getByLabel("Kind").selectOption("refunded");
  await count(page, "[data-seq]", 1);
  expect(query(page)).toEqual({ order: "asc", who: "pat@example.com", kind: "refunded" });
  await page.goBack();
  await count(page, "[data-seq]", 5);
  await page.getByLabel("Buyer or ticket").fill("4");
  await count(page, "[data-seq]", 3);
  await page.getByLabel("Buyer or ticket").fill("");
  await page.getByLabel("From event").fill("7");
  await page.getByRole("button", { name: "Go", exact: true }).click();
  await page.waitForFunction(() => document.querySelector("[data-seq]")?.getAttribute("data-seq") === "7");
  await page.close();

  const arabic = await adminAt(`/admin/sales/${id}/ledger?who=pat@example.com`, "ar-EG");
  await count(arabic, "[data-seq]", 5);
  expect(await arabic.evaluate(() => document.documentElement.dir)).toBe("rtl");
  await look(arabic, "admin-ledger-ar");
  await arabic.goto(`/admin/sales/${id}/orders`);
  await count(arabic, "[data-row]", 2);
  await look(arabic, "admin-orders-ar");
});
