// Endpoints of webhooks: created with a secret that is shown once, tried out, failing and repaired, and their deliveries.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { startTestShop, waitUntil } from "./testShop";

const FLAGS = ["--public-url", "https://shop.example", "--webhooks-allow-http"];
const shop = startTestShop(...FLAGS, "--webhooks-allow-private", "127.0.0.0/8");

/** What arrives at the receiver, and what it replies. */
const received: string[] = [];
const bodies: { type: string; data: { saleId?: string } }[] = [];
let status = 204;
let receiver: Server;

beforeAll(async () => {
  receiver = createServer((request, reply) => {
    received.push(String(request.headers["webhook-id"]));
    let body = "";
    request.setEncoding("utf8").on("data", (part: string) => {
      body += part;
    });
    request.on("end", () => {
      bodies.push(JSON.parse(body));
      // After a failure the shop waits for an hour: what is sent again is what the merchant asks for.
      const headers = status === 204 ? {} : { "retry-after": "3600" };
      reply.writeHead(status, headers).end(status === 204 ? "" : "<b>the warehouse burns</b> \u202eالمستودع");
    });
  });
  await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
});
afterAll(() => {
  receiver.closeAllConnections();
  receiver.close();
});

const url = () => `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hooks`;

test("an endpoint is created, tried out, repaired and deleted", async () => {
  const page = await shop.openAdminPage("/admin/webhooks");
  await page.getByText("There is no endpoint yet.").waitFor();
  await checkPage(page, "admin-webhooks-none");
  await page.getByRole("link", { name: "New endpoint" }).click();

  await page.getByRole("button", { name: "Create the endpoint" }).click();
  await page.getByText("Please fill this in.").waitFor();
  await page.getByLabel("Address", { exact: true }).fill("https://169.254.169.254/latest");
  await page.getByRole("button", { name: "Create the endpoint" }).click();
  await page.getByText("is an internal address").waitFor();
  await page.getByLabel("Address", { exact: true }).fill(url());
  await page.getByLabel("Description", { exact: true }).fill("مستودع <script>alert(1)</script>");
  await page.getByLabel("All events").uncheck();
  await page.getByLabel("order.confirmed").check();
  await checkPage(page, "admin-webhook-new");
  await page.getByRole("button", { name: "Create the endpoint" }).click();

  const secret = page.locator("[data-secret]");
  await secret.waitFor();
  expect(await secret.textContent()).toMatch(/^whsec_/);
  await checkPage(page, "admin-webhook-secret");
  await page.getByRole("button", { name: "I have kept it" }).click();
  expect(await secret.count()).toBe(0);
  await page.reload();
  const state = (word: string) => page.locator(`[data-webhook-state=${word}]`);
  await state("healthy").waitFor();
  expect(await secret.count()).toBe(0);

  await page.getByRole("button", { name: "Send a test" }).click();
  await page.locator("[data-delivery-state=delivered]").waitFor();
  expect(received).toHaveLength(1);

  // A receiver that fails: the reply is shown as a text, and the delivery can be sent again.
  status = 500;
  await page.getByRole("button", { name: "Send a test" }).click();
  await page.getByText("next try").waitFor();
  await state("failing").waitFor();
  await page.getByRole("button", { name: /^Show/ }).first().click();
  await page.getByText("the warehouse burns").waitFor();
  await checkPage(page, "admin-webhook-failing");
  status = 204;
  await page
    .getByRole("button", { name: /^Send again/ })
    .first()
    .click();
  await page.getByText("It is sent again now.").waitFor();
  await waitUntil(
    async () => (await page.locator("[data-delivery-state=delivered]").count()) === 2,
    "both are delivered",
  );
  await page.getByRole("button", { name: "Send all again" }).click();
  await page.getByText("0 deliveries are sent again.").waitFor();
  await page.getByLabel("Status", { exact: true }).selectOption("failed");
  await page.getByText("No delivery matches.").waitFor();

  await page.getByRole("button", { name: "New secret …" }).click();
  await checkPage(page, "admin-webhook-rotate");
  await page.getByRole("button", { name: "Make a new secret" }).click();
  await secret.waitFor();
  await page.getByRole("button", { name: "Switch off" }).click();
  await state("disabled").waitFor();
  await page.getByRole("button", { name: "Switch on" }).click();
  await state("healthy").waitFor();

  await page.getByRole("link", { name: "Webhooks" }).click();
  await page.getByRole("link", { name: url() }).waitFor();
  await checkPage(page, "admin-webhooks");
  const path = await page.getByRole("link", { name: url() }).getAttribute("href");
  for (const locale of ["ar", "de"]) {
    const other = await shop.openAdminPage(path ?? "", { locale });
    await other.locator("[data-delivery-state=delivered]").first().waitFor();
    expect(await other.locator("html").getAttribute("dir")).toBe(locale === "ar" ? "rtl" : "ltr");
    await checkPage(other, `admin-webhook-${locale}`);
    await other.context().close();
  }
  await page.getByRole("link", { name: url() }).click();
  await page.getByRole("button", { name: "Delete …" }).click();
  await page.getByRole("button", { name: "Delete the endpoint" }).click();
  await page.getByText("There is no endpoint yet.").waitFor();
});

test("an endpoint gets the events of the sales that were chosen by name", async () => {
  const lamp = await shop.createSale({ slug: "lamp", payment: "none" });
  const chair = await shop.createSale({ slug: "chair", payment: "none", name: "Blue chair كرسي" });
  for (let at = 0; at < 8; at += 1) await shop.createSale({ slug: `vase-${at}`, name: `Vase ${at}` });
  const page = await shop.openAdminPage("/admin/webhooks/new");
  await page.getByLabel("Address", { exact: true }).fill(url());
  await page.getByLabel("All events").uncheck();
  await page.getByLabel("order.confirmed").check();
  await page.getByLabel("All sales").uncheck();
  await page.getByRole("button", { name: "Create the endpoint" }).click();
  await page.getByText("Choose at least one sale, or all").waitFor();
  await checkPage(page, "admin-webhook-sales");
  await page.getByLabel("Find a sale by its name").fill("no such name");
  await page.getByText("No sale has this name.").waitFor();
  await page.getByLabel("Find a sale by its name").fill("blue");
  await page.getByLabel("Blue chair كرسي").check();
  expect(await page.getByLabel("Vase 1").count()).toBe(0);
  await page.getByRole("button", { name: "Create the endpoint" }).click();
  await page.getByRole("button", { name: "I have kept it" }).click();

  const delivered = page.locator("[data-delivery-state=delivered]");
  await shop.holdUnits(lamp.id, "ann", { hasLine: false });
  await shop.holdUnits(chair.id, "bob", { hasLine: false });
  await delivered.waitFor();
  await page.getByLabel("Aurora desk lamp").check();
  await page.getByRole("button", { name: "Save the changes" }).click();
  await page.getByText("Saved.").waitFor();
  await shop.holdUnits(lamp.id, "kim", { hasLine: false });
  await waitUntil(async () => (await delivered.count()) === 2, "the second sale is delivered, too");
  expect(
    bodies.filter(({ type }) => type.endsWith("order.confirmed")).map(({ data }) => data.saleId),
  ).toEqual([chair.id, lamp.id]);
  await checkPage(page, "admin-webhook-some-sales");
  const { pathname } = new URL(page.url());
  await page.goto("/admin/webhooks");
  await page.getByText("only 2 sales").waitFor();
  for (const locale of ["ar", "de"]) {
    const other = await shop.openAdminPage(pathname, { locale });
    await other.getByLabel("Blue chair كرسي").waitFor();
    await checkPage(other, `admin-webhook-sales-${locale}`);
    await other.context().close();
  }
});
