// A buyer without an account finds an order again, by its number and the e-mail address.

import { expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { startTestShop } from "./testShop";

const shop = startTestShop("--guests", "on");

test("an order is found by its number and the address, and by nothing less", async () => {
  const sale = await shop.createSale({ slug: "lamp", payment: "none" });
  const guest = await shop.call("POST", "/auth/guest", { email: "ada@example.com" });
  const body = { flashSaleId: sale.id, quantity: 1 };
  const order = await shop.call("POST", "/orders", body, guest.accessToken);

  const page = await (await shop.newBrowser()).newPage();
  await page.goto("/orders/find");
  await page.getByRole("heading", { name: "Find an order" }).waitFor();
  await checkPage(page, "find-order");

  await page.getByLabel("Order number").fill(order.id);
  await page.getByLabel("E-mail").fill("ada");
  await page.getByRole("button", { name: "Find the order" }).click();
  const email = page.getByLabel("E-mail");
  await page.locator("input[name=email][aria-invalid=true]").waitFor();

  await email.fill("bob@example.com");
  await page.keyboard.press("Enter");
  await page.getByText("There is no order with this number and this e-mail address.").waitFor();
  await checkPage(page, "find-order-unknown");

  await email.fill("Ada@Example.com");
  await page.keyboard.press("Enter");
  await page.locator('[data-order="confirmed"]').waitFor();
  await page.getByText(order.id).waitFor();
  await checkPage(page, "found-order");
  await page.getByRole("button", { name: "Find another order" }).click();
  await page.getByRole("heading", { name: "Find an order" }).waitFor();
  expect(await page.getByLabel("Order number").inputValue()).toBe("");
});

test("the page speaks German and Arabic", async () => {
  for (const [language, heading, direction] of [
    ["de-DE", "Bestellung finden", "ltr"],
    ["ar-EG", "البحث عن طلب", "rtl"],
  ] as const) {
    const page = await (await shop.newBrowser({ locale: language })).newPage();
    await page.goto("/orders/find");
    await page.getByRole("heading", { name: heading }).waitFor();
    expect(await page.evaluate("document.documentElement.dir")).toBe(direction);
    await checkPage(page, `find-order-${language}`);
  }
});
