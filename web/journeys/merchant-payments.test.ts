// The admin's view of payments: paying in each way as the panel of the order shows it, parts that are given back, and on a staged server
// what a provider may report.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { at, enlargeText, findCutText, openStagedShop, problem, stage } from "./stagedShop";
import { signIn, startTestShop, waitForOrder } from "./testShop";

const shop = startTestShop();
const staged = openStagedShop();

/** Opens the panel of the newest order of a buyer. */
async function showOrder(page: Page, buyer: string): Promise<void> {
  await page.getByLabel("Search").fill(buyer);
  await page.waitForFunction((buyer) => {
    const rows = [...document.querySelectorAll("[data-row]")];
    return rows.length === 1 && rows[0]?.textContent?.includes(buyer);
  }, buyer);
  await page.getByRole("button", { name: /^Show/ }).click();
}

const payment = (page: Page, status: string) => page.locator(`[data-payment=${status}]`);

test("a merchant sees each payment of an order and gives back a part of one", async () => {
  const { id } = await shop.createSale({ slug: "paid", quantity: 5 });
  await shop.holdUnits(id, "ann", { hasLine: false });
  const bob = await shop.holdUnits(id, "bob", { hasLine: false });
  await bob.pay();

  const page = await shop.openAdminPage(`/admin/sales/${id}/orders`);
  await showOrder(page, "ann@");
  await page.getByText("the buyer has not begun to pay").waitFor();

  // The buyer pays on a page of the provider.
  const buyer = await (await shop.newBrowser()).newPage();
  await buyer.goto("/sign-in?to=%2Forders");
  await signIn(buyer, "ann");
  await buyer.locator("main a[href^='/orders/']").first().click();
  await buyer.getByLabel("Test bank: you pay on a page of its own").check();
  await buyer.getByRole("button", { name: "Pay €49.00" }).click();
  await buyer.getByRole("button", { name: "Approve the payment" }).waitFor();
  await payment(page, "open").getByText("On the provider's page").waitFor();
  await payment(page, "open").locator("[data-next-try]").waitFor();
  await checkPage(page, "admin-payment-open");
  await buyer.getByRole("button", { name: "Approve the payment" }).click();
  await waitForOrder(buyer, "confirmed");
  await payment(page, "captured").getByText("Paid", { exact: true }).waitFor();
  await payment(page, "captured").getByText("sandbox:redirect").waitFor();
  expect(await page.locator("[data-next-try]").count()).toBe(0);

  // More than was paid is not asked for.
  await page.getByRole("button", { name: "Refund …" }).click();
  await page.getByLabel("Only a part of the money").check();
  await page.getByLabel("How much (EUR)").fill("49.01");
  await page.getByRole("button", { name: "Refund €49.00" }).click();
  await page.getByText("not more than is left").waitFor();
  await page.keyboard.press("Escape");

  // Two parts go back; the order stays paid.
  for (const [part, left] of [
    ["10.00", "€10.00; €39.00 is left"],
    ["0.50", "€10.50; €38.50 is left"],
  ] as const) {
    await page.getByRole("button", { name: "Refund …" }).click();
    await page.getByLabel("Only a part of the money").check();
    await page.getByLabel("How much (EUR)").fill(part);
    await page.getByRole("button", { name: `Refund €${part}` }).click();
    await payment(page, "captured").getByText(left).waitFor();
  }
  await payment(page, "captured").getByText("Paid, a part was given back").waitFor();
  await page.locator("[data-order-status=confirmed]").waitFor();
  await checkPage(page, "admin-payment-part");

  // Then the rest.
  await page.getByRole("button", { name: "Refund …" }).click();
  await page.getByText("The rest of the money goes back").waitFor();
  await checkPage(page, "admin-refund-rest");
  await page.getByRole("button", { name: "Refund €38.50" }).click();
  await payment(page, "refunded").getByText("€49.00, nothing is left").waitFor();

  await page.getByRole("button", { name: /^Hide/ }).click();
  await showOrder(page, "bob@");
  await payment(page, "captured").getByText("sandbox:approve").waitFor();
  expect(await page.locator("[data-payment]").count()).toBe(1);
});

test("a declined payment is kept beside the one that follows it", async () => {
  const { id } = await shop.createSale({ slug: "declined", quantity: 5 });
  const { token } = await shop.registerBuyer("cleo");
  const order = await shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, token);
  const pay = (method: string) => shop.call("POST", `/orders/${order.id}/pay`, { method }, token);
  await expect(pay("sandbox:decline")).rejects.toThrow("payment_declined");
  const page = await shop.openAdminPage(`/admin/sales/${id}/orders`);
  await showOrder(page, "cleo");
  await payment(page, "declined").getByText("the buyer can pay in another way").waitFor();
  await pay("sandbox:approve");
  await payment(page, "captured").getByText("Payment 2 of 2").waitFor();
  await payment(page, "declined").getByText("Payment 1 of 2").waitFor();

  const collected = await shop.createSale({ slug: "collected", payment: "none" });
  const dora = await shop.registerBuyer("dora");
  await shop.call("POST", "/orders", { flashSaleId: collected.id, quantity: 1 }, dora.token);
  await page.goto(`/admin/sales/${collected.id}/orders`);
  await showOrder(page, "dora");
  await page.getByText("The buyer pays on collection").waitFor();
});

const EUR = (amount: number) => ({ amount, currency: "EUR" });
const ID = "01a1fc31-0000-7000-8000-000000000001";
const PAYMENTS = `GET /admin/orders/${ID}/payments`;
const ADMIN = { isAdmin: true } as const;

const row = (change: object = {}) => ({
  id: ID,
  flashSaleId: "s",
  buyer: { id: "01a1fc31-0000-7000-8000-000000000002", username: "ada", email: "ada@example.com" },
  product: "Aurora desk lamp",
  status: "confirmed",
  paying: false,
  paymentRequired: true,
  quantity: 1,
  unitPrice: EUR(4_900),
  total: EUR(4_900),
  createdAt: at(-600),
  updatedAt: at(-580),
  version: 7,
  ...change,
});

const paid = (change: object = {}) => ({
  id: "01a1fc31-0000-7000-8000-000000000003",
  provider: "stripe",
  reference: "cs_test_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6a7B8c9",
  dashboardUrl: "https://dashboard.stripe.com/test/search?query=01a1fc31-0000-7000-8000-000000000003",
  method: "stripe",
  status: "captured",
  amount: EUR(4_900),
  refunded: EUR(0),
  reason: "",
  tries: 0,
  createdAt: at(-590),
  updatedAt: at(-580),
  findings: [],
  ...change,
});

const found = (kind: string, status: string, change: object = {}) => ({
  id: `${kind === "dispute" ? "du" : "re"}_1${status}`,
  kind,
  status,
  reason: kind === "dispute" ? "fraudulent" : "",
  amount: EUR(4_900),
  ...change,
});

interface Case {
  order?: object;
  payments: object[];
  browser?: NonNullable<Parameters<typeof staged.newPage>[1]>["browser"];
}

/** The panel of one order with these payments. */
async function openPanel({ order, payments, browser = {} }: Case): Promise<Page> {
  const state = stage({
    orders: [row(order)],
    replies: { [PAYMENTS]: { status: 200, body: { items: payments } } },
  });
  const page = await staged.newPage(state, { ...ADMIN, browser });
  await page.goto("/admin/orders");
  await page.locator("[data-row] button").click();
  await page.locator("[data-payments]").waitFor();
  return page;
}

const DISPUTED = paid({
  findings: [found("dispute", "needs_response", { dueAt: at(600_000) })],
});
const STUCK = paid({ status: "refunding", refunded: EUR(4_900), tries: 11, nextTryAt: at(240) });

test("what a provider reports shows with what a person should do", async () => {
  for (const [name, order, change, texts] of [
    [
      "dispute",
      {},
      DISPUTED,
      ["Dispute · €49.00", "Waits for your answer", "fraudulent", "Answer in the provider's dashboard"],
    ],
    [
      "dispute-lost",
      {},
      { findings: [found("dispute", "lost")], refunded: EUR(0) },
      ["Decided for the buyer", "decide whether the buyer keeps the goods"],
    ],
    [
      "refunded-outside",
      {},
      { refunded: EUR(4_900), findings: [found("refunded_outside", "succeeded")] },
      ["Paid, all of it went back", "Refund outside the shop · €49.00", "Refund the order here, too"],
    ],
    [
      "refund-failed",
      {},
      {
        refunded: EUR(1_000),
        findings: [
          found("refund_failed", "failed", { amount: EUR(500) }),
          found("dispute", "warning_closed", { amount: EUR(4_900) }),
        ],
      },
      ["Refund that came back · €5.00", "Refund it here again", "Inquiry of the bank", "The money stays"],
    ],
    [
      "stuck",
      { status: "refunded" },
      STUCK,
      [
        "Being refunded",
        "11 tries without a result",
        "Asks the provider again",
        "pay it back by hand if need be",
      ],
    ],
    [
      "held",
      { status: "refunded" },
      { ...STUCK, findings: [found("dispute", "under_review")] },
      ["Being refunded", "a dispute holds it", "Do not pay by hand", "Your answer is with the bank"],
    ],
    [
      "lost-refund",
      { status: "refunded" },
      { status: "voided", findings: [found("dispute", "lost")] },
      ["Lost to a dispute", "the shop paid nothing back"],
    ],
    [
      "unknown-words",
      {},
      { status: "of_tomorrow", findings: [found("dispute", "of_tomorrow")] },
      ["of_tomorrow", "this page does not know this state"],
    ],
  ] as const) {
    const page = await openPanel({ order, payments: [paid(change)] });
    for (const text of texts) await page.getByText(text).first().waitFor();
    await checkPage(page, `admin-payment-${name}`);
    await page.context().close();
  }
});

test("the reference leads to the provider's dashboard in a tab that knows nothing of the shop", async () => {
  const page = await openPanel({ payments: [paid()] });
  const link = page.getByRole("link", { name: "See it at Stripe" });
  expect(await link.getAttribute("href")).toBe(paid().dashboardUrl);
  expect(await link.getAttribute("rel")).toBe("noopener noreferrer");
  expect(await link.getAttribute("target")).toBe("_blank");
  await page.context().close();
});

test("an order without payments says why, and a failed request is repeated on demand", async () => {
  for (const [order, text] of [
    [{ status: "expired" }, "No payment was begun."],
    [{ total: EUR(0), unitPrice: EUR(0) }, "This order costs nothing"],
    [{}, "its payment is not in the tables"],
  ] as const) {
    const page = await openPanel({ order, payments: [] });
    await page.getByText(text).waitFor();
    await page.context().close();
  }

  let isDown = true;
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const state = stage({
    orders: [row()],
    replies: {
      [PAYMENTS]: async () => {
        await held;
        return isDown ? problem(503, "unavailable") : { status: 200, body: { items: [paid()] } };
      },
    },
  });
  const page = await staged.newPage(state, ADMIN);
  await page.goto("/admin/orders");
  await page.locator("[data-row] button").click();
  await page.locator("[data-payments] [aria-busy=true]").waitFor();
  await checkPage(page, "admin-payment-loading");
  release();
  const repeat = page.locator("[data-payments]").getByRole("button", { name: "Try again" });
  await repeat.waitFor();
  await checkPage(page, "admin-payment-error");
  isDown = false;
  await repeat.click();
  await payment(page, "captured").waitFor();
  isDown = true;
  await page.getByText("this may have changed").waitFor();
  await payment(page, "captured").waitFor();
});

test("the panel reads in German and from right to left, and with large text nothing is cut off", async () => {
  const payments = [
    paid({ id: "first", status: "declined", reason: "Your card has insufficient funds.", reference: "cs_1" }),
    paid({ ...DISPUTED, id: "second", refunded: EUR(1_000), tries: 2 }),
    paid({ ...STUCK, id: "third" }),
  ];
  for (const locale of ["de-DE", "ar-EG"]) {
    const page = await openPanel({ payments, browser: { locale } });
    await page.locator("[data-finding=dispute]").waitFor();
    await checkPage(page, `admin-payment-${locale.slice(0, 2)}`);
    await page.setViewportSize({ width: 390, height: 844 });
    await enlargeText(page);
    // A narrow screen hides the headers of a table, and names each value beside it.
    const cut = (await findCutText(page)).filter((html) => !html.startsWith("<th"));
    expect(cut, locale).toEqual([]);
    await page.context().close();
  }
});

test("a provider that cannot be used is named on the list of sales and on the board, by its code", async () => {
  const health = (failure?: object) => ({
    status: failure === undefined ? 200 : 503,
    body: {
      ok: failure === undefined,
      version: "1",
      components: [{ name: "stripe", ok: failure === undefined, ...failure }],
      tables: { eventsBehind: 0, secondsBehind: 0 },
    },
  });
  const right = "Disputes: read (rak_dispute_read)";
  const lacking = { code: "provider_rights_missing", missingRights: [right], detail: "in English" };
  const failures = [
    [lacking, right],
    [{ code: "provider_unavailable", since: "2026-03-14T11:40:00Z", detail: "in English" }, "2026"],
    [{ code: "provider_key_invalid", detail: "in English" }, "Stripe"],
    [{ code: "provider_unknown", detail: "in English" }, "Stripe"],
    [{ code: "provider_of_tomorrow", detail: "the bank has a holiday" }, "the bank has a holiday"],
  ] as const;
  for (const locale of ["en-GB", "de-DE", "ar-EG"]) {
    for (const [failure, text] of failures) {
      const state = stage({ replies: { "GET /health": health(failure) } });
      const page = await staged.newPage(state, { ...ADMIN, browser: { locale } });
      await page.goto("/admin");
      const notice = page.locator("[data-provider-failure=stripe]");
      await notice.waitFor();
      const shown = await notice.textContent();
      // Western and Eastern Arabic digits are the same figure.
      if (text === "2026") expect(shown).toMatch(/2026|٢٠٢٦/);
      else expect(shown).toContain(text);
      expect(shown).not.toContain("in English");
      await checkPage(page, `admin-${failure.code}-${locale.slice(0, 2)}`);
      await page.context().close();
    }
  }
  const healthy = await staged.newPage(stage({ replies: { "GET /health": health() } }), ADMIN);
  const asked = healthy.waitForResponse((response) => response.url().endsWith("/health"));
  await healthy.goto("/admin");
  await asked;
  await healthy.getByRole("link", { name: "Aurora desk lamp", exact: true }).waitFor();
  expect(await healthy.locator("[data-provider-failure]").count()).toBe(0);

  const { id } = await shop.createSale({ slug: "trial" });
  const board = await shop.openAdminPage(`/admin/sales/${id}`);
  await board.getByText("orders are confirmed, and no money moves").waitFor();
  await board.route("**/health", (route) => route.fulfill({ status: 503, json: health(lacking).body }));
  await board.reload();
  await board.locator("[data-provider-failure=stripe]").waitFor();
  await checkPage(board, "admin-board-provider-failure");
});
