// Guests who come with a code from a mail, and a sale for confirmed addresses.

import { afterAll, expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { MailServer } from "./mailServer";
import { register, startTestShop } from "./testShop";

const mail = await MailServer.start();
afterAll(() => mail.stop());
const FLAGS = ["--guests", "on", "--public-url", "https://shop.example", "--smtp", mail.url];
const shop = startTestShop(...FLAGS, "--mail-from", "shop@shop.example");

test("a guest comes with a code and buys in a sale for confirmed addresses", async () => {
  await shop.createSale({ slug: "lamp", payment: "none", requireConfirmedEmail: true });
  const page = await (await shop.newBrowser()).newPage();
  await page.goto("/s/lamp");
  await page.getByText("Only with a confirmed e-mail address.").waitFor();
  await page
    .getByRole("main")
    .getByRole("link", { name: /Sign in/ })
    .first()
    .click();
  await page.getByRole("link", { name: "Buy without an account" }).click();
  await checkPage(page, "guest");
  await page.getByLabel("E-mail").fill("ada@example.com");
  await page.getByRole("button", { name: "Send the code" }).click();
  await page.getByText("A code is on its way to ada@example.com.").waitFor();
  await checkPage(page, "guest-code");
  await page.getByLabel("Code from the mail").fill("00000000");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.locator("input[name=code][aria-invalid=true]").waitFor();
  const { subject } = await mail.waitFor("ada@example.com", /Your code/);
  await page.getByLabel("Code from the mail").fill(subject.slice(-9));
  await page.getByRole("button", { name: "Go on" }).click();
  await page.waitForURL((url) => url.pathname === "/s/lamp");
  await page
    .getByRole("button", { name: /Reserve|Get/ })
    .first()
    .click();
  await page.locator('[data-order="confirmed"]').waitFor();

  // A guest has no password to change.
  await page.goto("/account");
  await page.getByText("ada@example.com").first().waitFor();
  expect(await page.getByLabel("New password").count()).toBe(0);
});

test("an account without a confirmed address is told how to confirm it", async () => {
  await shop.createSale({ slug: "chair", payment: "none", requireConfirmedEmail: true });
  const page = await (await shop.newBrowser()).newPage();
  await page.goto("/register?to=%2Fs%2Fchair");
  await register(page, "bob");
  await page.waitForURL((url) => url.pathname === "/s/chair");
  await page
    .getByRole("button", { name: /Reserve|Get/ })
    .first()
    .click();
  await page.getByText("This sale is for buyers with a confirmed e-mail address.").waitFor();
  await checkPage(page, "email-unconfirmed");
  await page.getByRole("link", { name: "Ask for another link" }).click();
  await page.getByRole("button", { name: "Send another link" }).waitFor();
});

test("the page of guests speaks German and Arabic", async () => {
  for (const [language, heading, direction] of [
    ["de-DE", "Ohne Konto kaufen", "ltr"],
    ["ar-EG", "الشراء بلا حساب", "rtl"],
  ] as const) {
    const page = await (await shop.newBrowser({ locale: language })).newPage();
    await page.goto("/guest");
    await page.getByRole("heading", { name: heading }).waitFor();
    expect(await page.evaluate("document.documentElement.dir")).toBe(direction);
    await checkPage(page, `guest-${language}`);
  }
});
