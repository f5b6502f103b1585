// Unusual conditions: no network, a restart of the server, a wrong clock, an ended session, a script in a name.

import { expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { register, signIn, startTestShop, waitForOrder, waitForStage } from "./testShop";

const shop = startTestShop();

const LINE = { type: "fifo", perSecond: 1, checkoutSeconds: 60, lineOpensSecondsBefore: 3_600 };

test("a device whose clock is an hour off counts down to the server's start", async () => {
  await shop.createSale({ slug: "later", startsInS: 600 });
  const page = await (await shop.newBrowser()).newPage();
  await page.clock.install({ time: Date.now() + 3_600_000 });
  await page.clock.resume();
  await page.goto("/s/later");
  await waitForStage(page, "upcoming");
  await page.waitForFunction(() =>
    /^(9|10):\d\d$/.test(document.querySelector("[role=timer]")?.textContent ?? ""),
  );
  await checkPage(page, "upcoming");
});

test("a place in line survives a lost network and a restart of the server", async () => {
  const { id } = await shop.createSale({ slug: "restart", startsInS: 900, admission: LINE });
  const other = await shop.registerBuyer("other");
  await shop.call("POST", "/queue/join", { flashSaleId: id }, other.token);
  const browser = await shop.newBrowser();
  const page = await browser.newPage();
  await page.goto("/register?to=%2Fs%2Frestart");
  await register(page, "barbara");
  await page.getByRole("button", { name: "Join the line" }).click();
  await page.getByText("No. 2").waitFor();

  await browser.setOffline(true);
  await page.getByText("You are offline.").waitFor();
  await checkPage(page, "offline");
  await browser.setOffline(false);
  await page.getByText("You are offline.").waitFor({ state: "detached" });

  await shop.stopServer();
  await page.getByText("Reconnecting").waitFor();
  await shop.startServer();
  await page.getByText("Reconnecting").waitFor({ state: "detached" });
  await page.getByText("No. 2").waitFor();
  await page.getByText("1 buyer is ahead of you.").waitFor();
});

test("a hold survives a restart of the server", async () => {
  await shop.createSale({ slug: "held" });
  const page = await (await shop.newBrowser()).newPage();
  await page.goto("/register?to=%2Fs%2Fheld");
  await register(page, "margaret");
  await page.getByRole("button", { name: "Buy now" }).click();
  await waitForOrder(page, "pending");
  await shop.stopServer();
  const pay = page.getByRole("button", { name: "Pay €49.00" }).click();
  await shop.startServer();
  await pay;
  await waitForOrder(page, "confirmed");
});

test("a buyer whose session has ended signs in again and keeps the place", async () => {
  await shop.createSale({ slug: "session", startsInS: 900, admission: LINE });
  const browser = await shop.newBrowser();
  const page = await browser.newPage();
  await page.goto("/register?to=%2Fs%2Fsession");
  await register(page, "edsger");
  await page.getByRole("button", { name: "Join the line" }).click();
  await waitForStage(page, "waiting");
  await page.evaluate(() => {
    localStorage.setItem(
      "doorbuster.session",
      JSON.stringify({ refreshToken: "gone", user: { id: "x", username: "edsger" } }),
    );
    sessionStorage.setItem("doorbuster.access", JSON.stringify("gone"));
  });
  await page.reload();
  await page.getByText("You have been signed out.").waitFor();
  await checkPage(page, "session-over");
  await page.getByRole("alert").getByRole("link", { name: "Sign in" }).click();
  await signIn(page, "edsger");
  await waitForStage(page, "waiting");
});

test("an expired access token is renewed once for all tabs", async () => {
  const browser = await shop.newBrowser();
  const page = await browser.newPage();
  await page.goto("/register");
  await register(page, "donald");
  await page.getByText("donald").waitFor();
  let renewals = 0;
  browser.on("request", (request) => {
    if (request.url().endsWith("/auth/refresh")) renewals += 1;
  });
  await page.evaluate(() => sessionStorage.setItem("doorbuster.access", JSON.stringify("stale")));
  await Promise.all([page.goto("/orders"), (await browser.newPage()).goto("/orders")]);
  for (const tab of browser.pages()) await tab.getByText("You have not ordered anything yet.").waitFor();
  expect(renewals).toBe(1);
});

test("paused, closed and unknown sales have their texts, and a script in a name is not run", async () => {
  const name = '<img src=x onerror="alert(1)"> & <script>alert(2)</script>';
  const { id } = await shop.createSale({ slug: "names", name });
  const page = await (await shop.newBrowser()).newPage();
  page.on("dialog", () => {
    throw new Error("the page ran a script from a name");
  });
  await shop.callAsAdmin("POST", `/flash-sales/${id}/pause`);
  await page.goto("/s/names");
  await waitForStage(page, "paused");
  await page.getByRole("heading", { name }).waitFor();
  await checkPage(page, "paused");
  await shop.callAsAdmin("POST", `/flash-sales/${id}/close`);
  await waitForStage(page, "over");
  await checkPage(page, "over");
  await page.goto("/s/nothing");
  await page.getByRole("heading", { name: "There is no such sale" }).waitFor();
  await page.goto("/nowhere");
  await page.getByRole("heading", { name: "There is nothing here" }).waitFor();
  await checkPage(page, "lost");
});

test("the shop reads from right to left in Arabic, and has German texts", async () => {
  await shop.createSale({ slug: "words" });
  for (const [locale, name, text] of [
    ["ar-EG", "words-ar", "متاح الآن"],
    ["de-DE", "words-de", "Jetzt zu haben"],
  ] as const) {
    const page = await (await shop.newBrowser({ locale })).newPage();
    await page.goto("/s/words");
    await page.getByRole("heading", { name: text }).waitFor();
    expect(await page.evaluate(() => document.documentElement.dir)).toBe(locale === "ar-EG" ? "rtl" : "ltr");
    await checkPage(page, name);
  }
});

test("invalid fields of a form show their errors", async () => {
  const page = await (await shop.newBrowser()).newPage();
  await page.goto("/register");
  await page.getByLabel("E-mail").fill("nobody");
  await page.getByLabel("Password").fill("short");
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByText("Please give an e-mail address").waitFor();
  await checkPage(page, "register-wrong");
  await page.goto("/sign-in");
  await signIn(page, "nobody");
  await page.getByText("Name or password is not right.").waitFor();
});
