// Paying on Stripe's page, which the stand-in has: there and back, a tab that is closed, a declined card, and a webhook that comes or does not.

import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeEach, expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { StripeStandIn } from "./stripeStandIn";
import { register, startTestShop, waitForOrder, waitUntil } from "./testShop";

const stripe = await StripeStandIn.start();
afterAll(() => stripe.stop());
const shop = startTestShop("--public-url", "{address}", ...stripe.flags);
const PRICE = 4_900;

let browser: BrowserContext;
let page: Page;
beforeEach(async () => {
  browser = await shop.newBrowser();
  page = await browser.newPage();
  // Without a webhook, only the buyer who comes back makes the shop ask.
  await stripe.control("webhooks", { mode: "never", url: `${shop.address}/webhooks/stripe` });
});

/** Orders one unit as a new buyer; the path of the order. */
async function order(slug: string, buyer: string): Promise<string> {
  await page.goto(`/register?to=%2Fs%2F${slug}`);
  await register(page, buyer);
  await page.getByRole("button", { name: "Buy now" }).click();
  await waitForOrder(page, "pending");
  return new URL(page.url()).pathname;
}

/** Goes to the provider's page. */
async function goAndPay(): Promise<void> {
  await page.getByRole("button", { name: "Pay €49.00" }).click();
  await page.waitForURL((url) => url.origin === stripe.url);
}

test("a buyer pays on the provider's page, comes back, and sees the order", async () => {
  await shop.createSale({ slug: "lamp" });
  const before = await stripe.moneyKept();
  const path = await order("lamp", "ada");
  await page.getByText("You pay on the page of our payment provider and come back here.").waitFor();
  await checkPage(page, "pay-stripe");
  await goAndPay();
  await page.getByRole("heading", { name: /Aurora desk lamp/ }).waitFor();
  await page.getByRole("button", { name: "Pay", exact: true }).click();
  await page.waitForURL(`${shop.address}${path}`);
  await waitForOrder(page, "confirmed");
  await checkPage(page, "paid-stripe");
  await waitUntil(async () => (await stripe.moneyKept()) === before + PRICE, "the money is captured");

  // The way back from the provider's page leads to what it is now.
  await page.goBack();
  await page.goto(path);
  await waitForOrder(page, "confirmed");
});

test("a buyer who paid and closed the tab sees the order paid when coming back later", async () => {
  await shop.createSale({ slug: "chair" });
  const path = await order("chair", "bob");
  await goAndPay();
  // The payment is made, and the way back is never gone.
  const paid = await fetch(`${page.url()}/approve`, { method: "POST", redirect: "manual" });
  expect(paid.status).toBe(303);
  await page.close();
  page = await browser.newPage();
  await page.goto("/orders");
  await page.locator(`main a[href='${path}']`).first().click();
  await waitForOrder(page, "confirmed");
});

test("a webhook confirms the order of a page that stays open elsewhere", async () => {
  await stripe.control("webhooks", { mode: "once" });
  await shop.createSale({ slug: "desk" });
  const path = await order("desk", "kim");
  const other = await browser.newPage();
  await other.goto(path);
  await waitForOrder(other, "pending");
  await goAndPay();
  const paid = await fetch(`${page.url()}/approve`, { method: "POST", redirect: "manual" });
  expect(paid.status).toBe(303);
  await waitForOrder(other, "confirmed");
});

test("a buyer who closed the tab without paying goes on with the same page", async () => {
  await shop.createSale({ slug: "table" });
  const path = await order("table", "eve");
  await goAndPay();
  const address = page.url();
  await page.close();
  page = await browser.newPage();
  await page.goto(path);
  await waitForOrder(page, "pending");
  await goAndPay();
  expect(page.url()).toBe(address);
  await page.getByRole("button", { name: "Pay", exact: true }).click();
  await waitForOrder(page, "confirmed");
});

test("a declined card leaves the unit held, and another one pays", async () => {
  await shop.createSale({ slug: "clock" });
  const before = await stripe.moneyKept();
  const path = await order("clock", "dan");
  await goAndPay();
  await page.getByRole("button", { name: "Pay with a declined card" }).click();
  await page.getByRole("button", { name: "Back" }).click();
  await page.waitForURL(`${shop.address}${path}`);
  await waitForOrder(page, "pending");
  await checkPage(page, "pay-stripe-again");
  expect(await stripe.moneyKept()).toBe(before);
  await goAndPay();
  await page.getByRole("button", { name: "Pay", exact: true }).click();
  await waitForOrder(page, "confirmed");

  // The admin sees one payment, with the provider's reference.
  const admin = await shop.openAdminPage(`/admin/orders?q=${path.slice("/orders/".length)}`);
  await admin.getByRole("button", { name: /^Show/ }).click();
  await admin.locator("[data-payment=captured]").getByText("cs_test_").waitFor();
  await checkPage(admin, "admin-payment-stripe");
});
