// What links of mails lead to: another password, a confirmed address. Each link works once, for an hour.

import type { Page } from "playwright-core";
import { afterAll, beforeEach, expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { linkIn, MailServer } from "./mailServer";
import { PASSWORD, register, signIn, startTestShop, waitForOrder, waitForStage } from "./testShop";

const mail = await MailServer.start();
afterAll(() => mail.stop());
const FLAGS = ["--public-url", "https://shop.example", "--smtp", mail.url, "--mail-rate", "100/1s"];
const shop = startTestShop(...FLAGS, "--mail-from", "Lamps <shop@shop.example>");
const NEW_PASSWORD = "another horse battery";
const NO_USE = "This link or code is used, too old or incomplete.";

let page: Page;
beforeEach(async () => {
  page = await (await shop.newBrowser()).newPage();
});

/** An hour passes for all links that were mailed. */
const ageLinks = () => shop.editTables("UPDATE mail_tokens SET expires_at = created_at");

async function askForLink(address: string): Promise<void> {
  await page.goto("/forgot-password");
  await page.getByLabel("E-mail").fill(address);
  await page.getByRole("button", { name: "Send the link" }).click();
  await page.getByText(`If ${address} has an account`).waitFor();
}

async function setPassword(link: string, password: string): Promise<void> {
  // A link that differs only behind the `#` would not load the page anew.
  await page.goto("about:blank");
  await page.goto(link);
  await page.getByLabel("New password").fill(password);
  await page.getByRole("button", { name: "Set the password" }).click();
}

test("a forgotten password is replaced with a link that works once, for an hour", async () => {
  await shop.registerBuyer("ada");
  const elsewhere = await (await shop.newBrowser()).newPage();
  await elsewhere.goto("/sign-in?to=%2Forders");
  await signIn(elsewhere, "ada");
  await elsewhere.waitForURL((url) => url.pathname === "/orders");

  await page.goto("/sign-in");
  await page.getByRole("link", { name: "Forgot your password?" }).click();
  await page.getByRole("heading", { name: "Forgot your password?" }).waitFor();
  await checkPage(page, "forgot-password");
  await page.getByLabel("E-mail").fill("ada");
  await page.getByRole("button", { name: "Send the link" }).click();
  await page.locator("input[name=email][aria-invalid=true]").waitFor();
  // The page says the same of an address without an account.
  await page.getByLabel("E-mail").fill("nobody@example.com");
  await page.keyboard.press("Enter");
  await page.getByText("If nobody@example.com has an account, a link is on its way.").waitFor();
  await page.getByRole("button", { name: "Use another address" }).click();
  await page.getByLabel("E-mail").fill("Ada@example.com");
  await page.getByRole("button", { name: "Send the link" }).click();
  await page.getByText(/ada@example.com has an account/i).waitFor();
  await checkPage(page, "forgot-password-sent");

  const link = linkIn(
    await mail.waitFor("ada@example.com", /Choose a new password/),
    "/reset-password#token=",
  );
  expect(mail.list("nobody@example.com", /./)).toEqual([]);
  await page.goto(link);
  await page.getByRole("heading", { name: "Choose a new password" }).waitFor();
  await page.getByLabel("New password").fill("short");
  await page.getByRole("button", { name: "Set the password" }).click();
  await page.locator("input[name=password][aria-invalid=true]").waitFor();
  await checkPage(page, "reset-password");
  await page.getByLabel("New password").fill(NEW_PASSWORD);
  await page.getByRole("button", { name: "Set the password" }).click();
  await page.getByRole("heading", { name: "Your password is changed" }).waitFor();
  await checkPage(page, "reset-password-done");

  // All other devices are signed out.
  await elsewhere.reload();
  await elsewhere
    .getByText(/You have been signed out|Please sign in/)
    .first()
    .waitFor();
  await page.getByRole("main").getByRole("link", { name: "Sign in" }).click();
  await signIn(page, "ada");
  await page.getByText("Name or password is not right.").waitFor();
  await signIn(page, "ada", NEW_PASSWORD);
  await page.waitForURL((url) => url.pathname !== "/sign-in");

  // A second use changes nothing.
  await setPassword(link, "a third horse battery");
  await page.getByText(NO_USE).waitFor();
  await checkPage(page, "reset-password-used");
  await page.getByRole("link", { name: "Ask for a new link" }).click();
  await page.getByRole("heading", { name: "Forgot your password?" }).waitFor();
  await shop.call("POST", "/auth/login", { email: "ada@example.com", password: NEW_PASSWORD });
});

test("a link that is too old changes no password", async () => {
  await shop.registerBuyer("eve");
  await askForLink("eve@example.com");
  const old = linkIn(await mail.waitFor("eve@example.com", /Choose a new password/), "#token=");
  await ageLinks();
  await setPassword(old, NEW_PASSWORD);
  await page.getByText(NO_USE).waitFor();
  await shop.call("POST", "/auth/login", { email: "eve@example.com", password: PASSWORD });

  await askForLink("eve@example.com");
  const fresh = await mail.waitFor("eve@example.com", /Choose a new password/, 2);
  await setPassword(linkIn(fresh, "#token="), NEW_PASSWORD);
  await page.getByRole("heading", { name: "Your password is changed" }).waitFor();

  await page.goto("/reset-password");
  await page.getByText("Open this page with the link from the mail.").waitFor();
  expect(await page.getByLabel("New password").count()).toBe(0);
  await checkPage(page, "reset-password-no-link");
});

test("an address is confirmed by a press, once, and opens a sale for confirmed addresses", async () => {
  await shop.createSale({ slug: "lamp", payment: "none", requireConfirmedEmail: true });
  await page.goto("/register?to=%2Faccount");
  await register(page, "bob");
  await page.getByRole("heading", { name: "Your account" }).waitFor();
  const link = linkIn(await mail.waitFor("bob@example.com", /Confirm/), "/confirm-address#token=");

  const order = async () => {
    await page.goto("/s/lamp");
    await page
      .getByRole("button", { name: /Reserve|Get/ })
      .first()
      .click();
  };
  // A program that looks at mails opens the link, too: that confirms nothing.
  const scanner = await (await shop.newBrowser()).newPage();
  await scanner.goto(link);
  await scanner.getByRole("button", { name: "Confirm the address" }).waitFor();
  await checkPage(scanner, "confirm-address");
  await order();
  await page.getByText("This sale is for buyers with a confirmed e-mail address.").waitFor();

  await page.goto(link);
  await page.getByRole("button", { name: "Confirm the address" }).dblclick();
  await page.getByRole("heading", { name: "Your address is confirmed" }).waitFor();
  await checkPage(page, "confirm-address-done");
  await order();
  await waitForOrder(page, "confirmed");
  await page.goto("/s/lamp");
  await waitForStage(page, "bought");

  await page.goto(link);
  await page.getByRole("button", { name: "Confirm the address" }).click();
  await page.getByText("The link is incomplete, used or too old.").waitFor();
  await checkPage(page, "confirm-address-used");
});

test("a link that is too old confirms nothing, and another one does", async () => {
  await shop.registerBuyer("kim");
  const old = linkIn(await mail.waitFor("kim@example.com", /Confirm/), "#token=");
  await ageLinks();
  await page.goto(old);
  await page.getByRole("button", { name: "Confirm the address" }).click();
  await page.getByText("The link is incomplete, used or too old.").waitFor();
  await page.getByLabel("E-mail").fill("kim@example.com");
  await page.getByRole("button", { name: "Send another link" }).click();
  await page.getByText("If kim@example.com has an account").waitFor();
  const fresh = linkIn(await mail.waitFor("kim@example.com", /Confirm/, 2), "#token=");
  await page.goto("about:blank");
  await page.goto(fresh);
  await page.getByRole("button", { name: "Confirm the address" }).click();
  await page.getByRole("heading", { name: "Your address is confirmed" }).waitFor();
});

test("the pages behind links speak German and Arabic", async () => {
  for (const [locale, direction] of [
    ["de-DE", "ltr"],
    ["ar-EG", "rtl"],
  ] as const) {
    const browser = await shop.newBrowser({ locale });
    for (const path of [
      "/forgot-password",
      "/reset-password#token=x",
      "/reset-password",
      "/confirm-address#token=x",
      "/confirm-address",
      "/unsubscribe#token=x",
    ]) {
      const other = await browser.newPage();
      await other.goto(path);
      await other.locator("h1").waitFor();
      expect(await other.evaluate("document.documentElement.dir")).toBe(direction);
      await checkPage(other, `${path.slice(1).replace("#token=x", "-link")}-${locale.slice(0, 2)}`);
      await other.close();
    }
    await browser.close();
  }
});
