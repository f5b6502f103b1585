// "Tell me when it starts" and "tell me if a unit comes back": asked for on the sale's page, with an account and without, and ended from a
// mail, by its page and by the header of one-click unsubscribe.

import type { Page } from "playwright-core";
import { afterAll, beforeEach, expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { type ArrivedMail, linkIn, MailServer } from "./mailServer";
import { PASSWORD, signIn, startTestShop, waitForStage, waitUntil } from "./testShop";

const mail = await MailServer.start();
afterAll(() => mail.stop());
const FLAGS = ["--public-url", "https://shop.example", "--smtp", mail.url, "--mail-rate", "100/1s"];
const shop = startTestShop(...FLAGS, "--mail-from", "Lamps <shop@shop.example>");
const DAY_S = 86_400;

let page: Page;
beforeEach(async () => {
  page = await (await shop.newBrowser()).newPage();
});

async function askFor(topic: string, address: string): Promise<void> {
  await page.getByRole("button", { name: topic }).click();
  await page.getByLabel("E-mail").fill(address);
  await page.getByRole("button", { name: topic }).click();
  await page.getByText(`${address} gets a mail`).waitFor();
}

/** What a mail program does when its user presses "unsubscribe" (RFC 8058). */
async function pressUnsubscribe({ headers }: ArrivedMail): Promise<number> {
  expect(headers["list-unsubscribe-post"]).toBe("List-Unsubscribe=One-Click");
  const url = new URL((headers["list-unsubscribe"] ?? "").replace(/^<|>$/g, ""));
  expect(url.protocol).toBe("https:");
  const reply = await fetch(`${shop.address}${url.pathname}${url.search}`, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: "List-Unsubscribe=One-Click",
  });
  return reply.status;
}

test("reminders of a start come until they are ended, by the header or on the page", {
  timeout: 180_000,
}, async () => {
  const sale = await shop.createSale({ slug: "lamp", startsInS: 3 * DAY_S });
  await page.goto("/s/lamp");
  await waitForStage(page, "upcoming");
  await page.getByRole("button", { name: "Tell me when it starts" }).click();
  await page.getByLabel("E-mail").fill("nobody");
  await page.getByRole("button", { name: "Tell me when it starts" }).click();
  await page.locator("input[name=email][aria-invalid=true]").waitFor();
  await checkPage(page, "reminder-form");
  await page.getByLabel("E-mail").fill("eve@example.com");
  await page.keyboard.press("Enter");
  await page.getByText("eve@example.com gets a mail before the sale starts.").waitFor();
  await checkPage(page, "reminder-done");
  for (const name of ["dan", "kim"]) {
    await page.reload();
    await askFor("Tell me when it starts", `${name}@example.com`);
  }

  // The start comes nearer than a day.
  const moveStart = (hours: number) => {
    const startsAt = new Date(Date.now() + hours * 3_600_000).toISOString();
    return shop.callAsAdmin("PATCH", `/flash-sales/${sale.id}`, { startsAt });
  };
  await moveStart(23);
  const subject = /the sale starts on/;
  const first = await mail.waitFor("eve@example.com", subject);
  await page.goto(linkIn(first, "/s/lamp"));
  await waitForStage(page, "upcoming");
  expect(await pressUnsubscribe(first)).toBe(204);
  expect(await pressUnsubscribe(first)).toBe(204);

  const second = await mail.waitFor("dan@example.com", subject);
  const link = linkIn(second, "/unsubscribe#token=");
  await page.goto(link);
  await page.getByRole("heading", { name: "End the mails about this sale?" }).waitFor();
  await checkPage(page, "unsubscribe");
  await page.getByRole("button", { name: "End these mails" }).click();
  await page.getByRole("heading", { name: "You get no more mails about this sale" }).waitFor();
  await checkPage(page, "unsubscribe-done");
  await page.getByRole("link", { name: "To the sales" }).click();
  await page.getByRole("link", { name: "Aurora desk lamp" }).waitFor();

  // The start is moved: only the one who has not ended them gets another mail.
  await mail.waitFor("kim@example.com", subject);
  await moveStart(12);
  await mail.waitFor("kim@example.com", subject, 2);
  for (const name of ["eve", "dan"]) expect(mail.list(`${name}@example.com`, subject)).toHaveLength(1);

  // It can be asked for again.
  await page.goto("/s/lamp");
  await askFor("Tell me when it starts", "eve@example.com");
});

test("a buyer with an account is reminded a quarter of an hour before, and asks with one press", async () => {
  const sale = await shop.createSale({ slug: "chair", startsInS: 7_200 });
  await shop.registerBuyer("ada");
  await page.goto("/sign-in?to=%2Fs%2Fchair");
  await signIn(page, "ada");
  await waitForStage(page, "upcoming");
  await page.getByRole("button", { name: "Tell me when it starts" }).click();
  expect(await page.getByLabel("E-mail").inputValue()).toBe("ada@example.com");
  await page.getByRole("button", { name: "Tell me when it starts" }).click();
  await page.getByText("ada@example.com gets a mail before the sale starts.").waitFor();
  // Within a day already: the next reminder is the one of a quarter of an hour before.
  const startsAt = new Date(Date.now() + 14 * 60_000).toISOString();
  await shop.callAsAdmin("PATCH", `/flash-sales/${sale.id}`, { startsAt });
  const { html } = await mail.waitFor("ada@example.com", /the sale starts on/);
  expect(html).toContain("The sale starts soon");

  // The account's page lists them once the address is known to be the buyer's, and ends them without a mail.
  await page.goto("/account");
  await page.getByText("Your address is not confirmed yet.").waitFor();
  await checkPage(page, "account-unconfirmed");
  const confirm = linkIn(await mail.waitFor("ada@example.com", /Confirm/), "#token=");
  await page.goto(confirm);
  await page.getByRole("button", { name: "Confirm the address" }).click();
  await page.getByRole("heading", { name: "Your address is confirmed" }).waitFor();
  await page.goto("/account");
  await page.getByText("Your address is confirmed.").waitFor();
  await page.getByText("A mail before it starts").waitFor();
  await checkPage(page, "account-mails");
  await page.getByRole("button", { name: "End these mails" }).click();
  await page.getByText("You have asked for no mails about sales.").waitFor();
  await checkPage(page, "account-mails-none");
});

test("the account's page no longer lists what was ended from a mail", async () => {
  await shop.registerBuyer("amy");
  const confirm = linkIn(await mail.waitFor("amy@example.com", /Confirm/), "#token=");
  await page.goto(confirm);
  await page.getByRole("button", { name: "Confirm the address" }).click();
  await page.getByRole("heading", { name: "Your address is confirmed" }).waitFor();
  const sales = [];
  for (const slug of ["by-header", "by-page"]) {
    sales.push(await shop.createSale({ slug, name: `Lamp ${slug}`, startsInS: 3 * DAY_S }));
    await page.goto(`/s/${slug}`);
    await askFor("Tell me when it starts", "amy@example.com");
  }
  await page.goto("/sign-in?to=%2Faccount");
  await signIn(page, "amy");
  await page.locator("[data-own-mails='2']").waitFor();
  const startsAt = new Date(Date.now() + 12 * 3_600_000).toISOString();
  for (const { id } of sales) await shop.callAsAdmin("PATCH", `/flash-sales/${id}`, { startsAt });
  expect(await pressUnsubscribe(await mail.waitFor("amy@example.com", /Lamp by-header/))).toBe(204);
  await page.reload();
  await page.locator("[data-own-mails='1']").waitFor();
  expect(await page.getByText("Lamp by-header").count()).toBe(0);
  await page.goto(linkIn(await mail.waitFor("amy@example.com", /Lamp by-page/), "/unsubscribe#token="));
  await page.getByRole("button", { name: "End these mails" }).click();
  await page.getByRole("heading", { name: "You get no more mails about this sale" }).waitFor();
  await page.goto("/account");
  await page.locator("[data-own-mails='0']").waitFor();
});

test("a unit that comes back is announced once to those who asked", async () => {
  const sale = await shop.createSale({ slug: "clock", quantity: 1, payment: "none" });
  await shop.holdUnits(sale.id, "zoe", { hasLine: false });
  await page.goto("/s/clock");
  await waitForStage(page, "sold_out");
  await askFor("Tell me if a unit comes back", "tom@example.com");
  await checkPage(page, "reminder-unit-done");
  // The list of orders may be a moment behind.
  let order = "";
  await waitUntil(async () => {
    const { items } = await shop.callAsAdmin("GET", `/orders?flashSaleId=${sale.id}`);
    order = items[0]?.id ?? "";
    return order !== "";
  }, "the order is listed");
  await shop.callAsAdmin("POST", `/orders/${order}/refund`, { restock: true });
  const arrived = await mail.waitFor("tom@example.com", /came back/);
  await waitForStage(page, "open");
  await page.goto(linkIn(arrived, "/s/clock"));
  await waitForStage(page, "open");
  expect(await pressUnsubscribe(arrived)).toBe(204);
  await waitUntil(async () => {
    const { items } = await shop.callAsAdmin("GET", "/mails?state=sent");
    return items.some((sent: { kind: string }) => sent.kind === "unit_returned");
  }, "the mail is listed as sent");
});

test("the reminder's form speaks German and Arabic", async () => {
  await shop.createSale({ slug: "table", startsInS: DAY_S * 2 });
  for (const [locale, name] of [
    ["de-DE", "Sagt mir Bescheid, wenn es losgeht"],
    ["ar-EG", /./],
  ] as const) {
    const other = await (await shop.newBrowser({ locale })).newPage();
    await other.goto("/s/table");
    await waitForStage(other, "upcoming");
    await other.locator("main button.button-quiet").filter({ hasText: name }).first().click();
    await other.locator("input[name=email]").waitFor();
    await checkPage(other, `reminder-form-${locale.slice(0, 2)}`);
    await other.locator("input[name=email]").fill("ada@example.com");
    await other.keyboard.press("Enter");
    await other.getByText("ada@example.com").waitFor();
    await other.goto("/sign-in?to=%2Faccount");
    // By name, because labels depend on the language.
    await other.locator("[name=name]").fill("ada");
    await other.locator("[name=password]").fill(PASSWORD);
    await other.locator("[type=submit]").click();
    await other.locator("[data-own-mails='1']").waitFor();
    await checkPage(other, `account-mails-${locale.slice(0, 2)}`);
    await other.context().close();
  }
});
