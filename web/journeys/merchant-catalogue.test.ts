// Products and sales: from the first visit of a merchant to a running sale, with invalid input and refusals.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { register, signIn, startTestShop } from "./testShop";

const shop = startTestShop();

const LINE = { type: "fifo", perSecond: 5, checkoutSeconds: 120, lineOpensSecondsBefore: 60 };

const waitForSaved = (page: Page) => page.getByText("Saved.", { exact: true }).waitFor();
const saleId = (page: Page) => new URL(page.url()).pathname.split("/").pop() ?? "";
const row = (page: Page, name: string) => page.getByRole("listitem").filter({ hasText: name });

test("the first visit leads to a product, and from there to a sale", async () => {
  const page = await (await shop.newBrowser({ timezoneId: "Europe/Berlin" })).newPage();
  await page.goto("/admin");
  await page.getByText("These pages are for admins of this shop.").waitFor();
  await page.getByRole("link", { name: "Sign in" }).click();
  await signIn(page, "boss@example.com");
  await page.getByRole("heading", { name: "Your first sale, in two steps" }).waitFor();
  await checkPage(page, "catalogue-first");
  await page.getByRole("link", { name: "New product" }).click();

  await page.getByRole("button", { name: "Make the product" }).click();
  expect(await page.getByLabel("Name", { exact: true }).evaluate((it) => it === document.activeElement)).toBe(
    true,
  );
  await page.getByLabel("Name", { exact: true }).fill("Aurora desk lamp");
  await page.getByLabel("List price").fill("129,999");
  await page.getByLabel("Address of a picture").fill("javascript:alert(1)");
  await page.getByRole("button", { name: "Make the product" }).click();
  await page.getByText("An address begins with https://").waitFor();
  await checkPage(page, "product-wrong");
  await page.getByLabel("List price").fill("129,90");
  await page.getByText("That is €129.90.").waitFor();
  await page.getByLabel("Address of a picture").fill("/assets/none.png");
  await page.keyboard.press("Tab");
  await page.getByText("There is no picture at this address").waitFor();
  await page.getByLabel("Address of a picture").fill("");
  await page.getByRole("button", { name: "Make the product" }).dblclick();
  await waitForSaved(page);
  await page.getByRole("heading", { name: "Aurora desk lamp" }).waitFor();
  await checkPage(page, "product");

  await page.getByRole("link", { name: "Sales", exact: true }).click();
  await page.getByText("Done. You can make more at any time.").waitFor();
  await checkPage(page, "catalogue-first-product");
  await page.getByRole("link", { name: "Make the sale" }).click();
  await page.getByRole("button", { name: "Announce the sale" }).click();
  expect(await page.getByLabel("Product").evaluate((it) => it === document.activeElement)).toBe(true);
  await page.getByLabel("Product").selectOption({ label: "\u2068Aurora desk lamp\u2069 (€129.90)" });
  expect(await page.getByLabel("Name in addresses").inputValue()).toBe("aurora-desk-lamp");
  await page.getByLabel("Price (EUR)").fill("forty");
  await page.getByLabel("Units", { exact: true }).fill("0");
  await page.getByLabel("Ends").fill("2020-01-01T10:00");
  await page.getByRole("button", { name: "Announce the sale" }).click();
  await page.getByText("This price cannot be read.").waitFor();
  await page.getByText("A whole number from 1 to 10,000,000, please.").waitFor();
  await page.getByText("A sale ends after it starts.").waitFor();
  await checkPage(page, "sale-form-wrong");
  await page.getByLabel("Price (EUR)").fill("49");
  await page.getByLabel("Units", { exact: true }).fill("1,000");
  await page.getByLabel("Starts").fill("2031-03-30T02:30");
  await page.getByLabel("Ends").fill("2031-03-30T12:00");
  await page.getByText("The clocks go forward then").waitFor();
  await page.getByLabel("Starts").fill("2031-03-30T10:00");
  await page.getByText("and runs 2 hours.").waitFor();
  await page.getByText("1,000 units at €49.00 each, 62 % less than the list price.").waitFor();
  await checkPage(page, "sale-form");
  await page.getByRole("button", { name: "Announce the sale" }).dblclick();
  await page.waitForURL(/\/admin\/sales\/[0-9a-f-]{36}$/);
  const { sale } = await shop.callAsAdmin("GET", `/flash-sales/${saleId(page)}/overview`);
  expect(sale).toMatchObject({
    slug: "aurora-desk-lamp",
    price: { amount: 4900, currency: "EUR" },
    quantity: 1000,
    startsAt: "2031-03-30T08:00:00.000Z",
    endsAt: "2031-03-30T10:00:00.000Z",
    payment: "required",
    holdSeconds: 300,
  });
  await page.getByRole("link", { name: "Sales", exact: true }).click();
  await row(page, "Aurora desk lamp").getByText("0 sold · 0 in carts · 1,000 free").waitFor();
  expect(await page.getByRole("link", { name: "Live: Aurora desk lamp" }).count()).toBe(1);
});

test("a sale is created by keyboard alone", async () => {
  const { product } = await shop.call(
    "GET",
    `/flash-sales/${(await shop.createSale({ slug: "keys-before" })).id}`,
  );
  const page = await shop.openAdminPage(`/admin/sales/new?product=${product.id}`);
  const press = async (...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const tabTo = async (name: string) => {
    for (let tabs = 0; tabs < 60; tabs++) {
      await press("Tab");
      if (await page.evaluate((name) => document.activeElement?.getAttribute("name") === name, name)) return;
    }
    throw new Error(`${name} cannot be reached by the keyboard`);
  };
  await page.getByLabel("Name in addresses").waitFor();
  await tabTo("slug");
  await press("ControlOrMeta+a");
  await page.keyboard.type("keys");
  await tabTo("price");
  await page.keyboard.type("19.5");
  await tabTo("quantity");
  await page.keyboard.type("25");
  await tabTo("endsAt");
  const before = await page.getByLabel("Ends").inputValue();
  await press("ArrowUp");
  expect(await page.getByLabel("Ends").inputValue()).not.toBe(before);
  await press("ArrowDown");
  await tabTo("admission");
  await press("ArrowDown");
  await tabTo("payment");
  await press("ArrowDown");
  await press("Tab");
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Announce the sale");
  await press("Enter");
  await page.waitForURL(/\/admin\/sales\/[0-9a-f-]{36}$/);
  const { sale } = await shop.callAsAdmin("GET", `/flash-sales/${saleId(page)}/overview`);
  expect(sale).toMatchObject({
    slug: "keys",
    price: { amount: 1950 },
    quantity: 25,
    admission: { type: "open" },
    payment: "none",
  });
});

test("a sale is duplicated under its own slug; a taken slug shows an error", async () => {
  const { id } = await shop.createSale({
    slug: "copied",
    name: "Copied lamp",
    quantity: 77,
    limitPerBuyer: 3,
    admission: LINE,
  });
  const page = await shop.openAdminPage("/admin");
  await page.getByRole("link", { name: "Duplicate: Copied lamp" }).click();
  await page.getByRole("heading", { name: "New sale, like an old one" }).waitFor();
  expect(await page.getByLabel("Units", { exact: true }).inputValue()).toBe("77");
  expect(await page.getByLabel("Name in addresses").inputValue()).toBe("copied-lamp");
  await page.getByLabel("Name in addresses").fill("copied");
  await page.getByRole("button", { name: "Announce the sale" }).click();
  await page.getByText("Another sale has this name already.").waitFor();
  expect(await page.getByLabel("Name in addresses").evaluate((it) => it === document.activeElement)).toBe(
    true,
  );
  await checkPage(page, "sale-form-taken");
  await page.getByLabel("Name in addresses").fill("copied-again");
  await page.getByRole("button", { name: "Announce the sale" }).click();
  await page.waitForURL(/\/admin\/sales\/[0-9a-f-]{36}$/);
  const { sale } = await shop.callAsAdmin("GET", `/flash-sales/${saleId(page)}/overview`);
  expect(sale).toMatchObject({ quantity: 77, limitPerBuyer: 3, admission: LINE, status: "upcoming" });
  expect(sale.id).not.toBe(id);
});

test("the terms of a running sale can only be extended; it is paused, restocked and closed", async () => {
  const { id } = await shop.createSale({ slug: "runs", name: "Running lamp", quantity: 10 });
  const buyer = await shop.registerBuyer("rosa");
  await shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, buyer.token);
  const page = await shop.openAdminPage(`/admin/sales/${id}/edit`);
  await page.getByText("Buyers may rely on this sale by now.").waitFor();
  for (const label of ["Product", "Name in addresses", "Price (EUR)", "Starts", "Units per buyer, at most"]) {
    expect(await page.getByLabel(`${label} (cannot change any more)`).isDisabled(), label).toBe(true);
  }
  await checkPage(page, "sale-edit-running");
  await page.getByLabel("Units", { exact: true }).fill("9");
  await page.getByRole("button", { name: "Save the changes" }).click();
  await page.getByText("Buyers rely on the 10 units").waitFor();
  await page.getByLabel("Units", { exact: true }).fill("12");
  await page.getByLabel("Seconds to pay").fill("120");
  await page.getByRole("button", { name: "Save the changes" }).dblclick();
  await waitForSaved(page);

  await page.getByRole("button", { name: "Pause" }).dblclick();
  await page.locator("[data-status=paused]").waitFor();
  await page.getByRole("button", { name: "Resume" }).click();
  await page.locator("[data-status=active]").waitFor();

  await page.getByRole("button", { name: "Restock …" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Add units" }).click();
  await dialog.getByText("A whole number from 1 to 9,999,988, please.").waitFor();
  await dialog.getByLabel("Units to add").fill("8");
  await dialog.getByText("12 units become 20.").waitFor();
  await checkPage(page, "control-restock");
  await dialog.getByRole("button", { name: "Add 8 units" }).dblclick();
  await dialog.waitFor({ state: "detached" });
  await page.waitForFunction(
    () => document.querySelector<HTMLInputElement>("[name=quantity]")?.value === "20",
  );
  expect(await shop.callAsAdmin("GET", `/flash-sales/${id}/overview`)).toMatchObject({
    sale: { quantity: 20, holdSeconds: 120, held: 1 },
  });

  await page.getByRole("button", { name: "Close …" }).click();
  await dialog.getByText("This is for good").waitFor();
  await checkPage(page, "control-close");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  const opener = page.getByRole("button", { name: "Close …" });
  expect(await opener.evaluate((it) => it === document.activeElement)).toBe(true);
  await opener.click();
  await dialog.getByRole("button", { name: "Close for good" }).click();
  await page.locator("[data-status=closed]").waitFor();
  await page.getByText("This sale is over, so nothing about it can change.").waitFor();
  await checkPage(page, "sale-edit-closed");
});

test("a change that comes too late is refused, and the form shows what can still change", async () => {
  const { id } = await shop.createSale({
    slug: "late",
    name: "Late lamp",
    startsInS: 3_600,
    admission: { ...LINE, lineOpensSecondsBefore: 0 },
  });
  const page = await shop.openAdminPage(`/admin/sales/${id}/edit`);
  await page.getByLabel("Price (EUR)").fill("1");
  // Another admin opens the line meanwhile; this page has not loaded that.
  await page.route("**/overview", (route) => route.abort());
  await shop.callAsAdmin("PATCH", `/flash-sales/${id}`, {
    admission: { ...LINE, lineOpensSecondsBefore: 7_200 },
  });
  await page.getByRole("button", { name: "Save the changes" }).click();
  await page.getByText("This would take back what buyers rely on by now, so nothing was saved.").waitFor();
  await page.unroute("**/overview");
  await page.getByText("Buyers may rely on this sale by now.").waitFor();
  await checkPage(page, "sale-edit-late");
});

test("a sale without buyers is deleted; a product on sale is not", async () => {
  const { id } = await shop.createSale({ slug: "nobody", name: "Nobody's lamp", startsInS: 3_600 });
  const { product } = await shop.call("GET", `/flash-sales/${id}`);
  const page = await shop.openAdminPage("/admin/products");
  await page.getByRole("heading", { name: "Nobody's lamp" }).waitFor();
  await checkPage(page, "products");
  await page.getByRole("button", { name: "Delete: Nobody's lamp" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Delete the product" }).click();
  await dialog.getByText("A sale that is not over sells this product, so it stays.").waitFor();
  await checkPage(page, "product-in-use");
  await dialog.getByRole("button", { name: "Cancel" }).click();

  await page.goto(`/admin/sales/${id}/edit`);
  await page.getByRole("button", { name: "Delete …" }).click();
  await checkPage(page, "control-delete");
  await dialog.getByRole("button", { name: "Delete the sale" }).dblclick();
  await page.waitForURL(/\/admin$/);
  await page.goto(`/admin/products/${product.id}`);
  await page.getByLabel("List price").fill("150");
  await page.getByLabel("Currency").selectOption("JPY");
  await page.getByRole("button", { name: "Save the changes" }).click();
  await waitForSaved(page);
  expect(await shop.call("GET", `/products/${product.id}`)).toMatchObject({
    price: { amount: 150, currency: "JPY" },
  });
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await dialog.getByRole("button", { name: "Delete the product" }).click();
  await page.waitForURL(/\/admin\/products$/);
  await page.getByRole("heading", { name: "Products" }).waitFor();
  expect(await page.getByRole("heading", { name: "Nobody's lamp" }).count()).toBe(0);
});

test("a script in a name is not run, and the list has running, upcoming and past sales", async () => {
  const name = '<img src=x onerror="alert(1)"> & <script>alert(2)</script>';
  const { id } = await shop.createSale({ slug: "script", name, startsInS: 900 });
  const over = await shop.createSale({ slug: "over", name: "Old lamp" });
  await shop.callAsAdmin("POST", `/flash-sales/${over.id}/close`);
  await shop.createSale({
    slug: "now",
    name: "A lamp with a name that is far too long for its column in a list",
  });
  const page = await shop.openAdminPage("/admin");
  await page.getByRole("heading", { name }).waitFor();
  for (const title of ["Running", "Coming up", "Over"]) {
    await page.getByRole("heading", { name: title, exact: true }).waitFor();
  }
  await checkPage(page, "catalogue-sales");
  await page.getByRole("link", { name: `Edit: ${name}` }).click();
  await page.getByRole("heading", { name }).waitFor();
  await page.getByLabel("Name in addresses").fill("<b>x</b>");
  await page.getByRole("button", { name: "Save the changes" }).click();
  await page.getByText("1 to 64 of a-z, 0-9 and -").waitFor();
  await checkPage(page, "catalogue-script");
  const { product } = await shop.call("GET", `/flash-sales/${id}`);
  await page.goto(`/admin/sales/new?product=${product.id}`);
  await page.getByLabel("Name in addresses").waitFor();
  expect(await page.getByLabel("Name in addresses").inputValue()).toMatch(/^[a-z0-9-]+$/);
});

test("errors that only the server finds appear at their fields", async () => {
  const { product } = await shop.call(
    "GET",
    `/flash-sales/${(await shop.createSale({ slug: "gone-before" })).id}`,
  );
  const page = await shop.openAdminPage(`/admin/sales/new?product=${product.id}`);
  await page.getByLabel("Price (EUR)").fill("10");
  await page.getByLabel("Units", { exact: true }).fill("5");
  const problem = {
    ...{ type: "/problems/invalid_body", title: "Invalid fields", status: 422, code: "invalid_body" },
    errors: [
      { pointer: "/admission/perSecond", detail: "must be 1 to 100000" },
      { pointer: "/productId", detail: "there is no such product" },
      { pointer: "/moon", detail: "is not a field here" },
    ],
  };
  await page.route("**/admin/flash-sales", (route) =>
    route.fulfill({ status: 422, contentType: "application/problem+json", body: JSON.stringify(problem) }),
  );
  await page.getByRole("button", { name: "Announce the sale" }).click();
  await page.getByText("This product is gone. Please choose another.").waitFor();
  await page.getByText("A whole number from 1 to 100,000, please.").waitFor();
  await page.getByText("The shop does not accept this: moon is not a field here").waitFor();
  expect(await page.getByLabel("Product").evaluate((it) => it === document.activeElement)).toBe(true);
});

/** Loses the first reply to a POST to `url`. Returns the idempotency keys of the requests. */
async function loseFirstReply(page: Page, url: string): Promise<(string | undefined)[]> {
  const keys: (string | undefined)[] = [];
  await page.route(url, async (route) => {
    if (route.request().method() !== "POST") return route.continue();
    keys.push(route.request().headers()["idempotency-key"]);
    if (keys.length > 1) return route.continue();
    await route.fetch();
    return route.abort();
  });
  return keys;
}

const expectOneKey = (keys: (string | undefined)[]) =>
  expect(keys).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), keys[0]]);

test("after a lost reply there is one product, and units are added once", async () => {
  const page = await shop.openAdminPage("/admin/products/new");
  await page.getByLabel("Name", { exact: true }).fill("Lost lamp");
  await page.getByLabel("List price").fill("20");
  const productKeys = await loseFirstReply(page, "**/admin/products");
  await page.getByRole("button", { name: "Make the product" }).click();
  await waitForSaved(page);
  expectOneKey(productKeys);
  const { items } = await shop.call("GET", "/products?limit=200");
  expect(items.filter(({ name }: { name: string }) => name === "Lost lamp")).toHaveLength(1);

  const { id } = await shop.createSale({ slug: "lost-units", quantity: 10 });
  await page.goto(`/admin/sales/${id}/edit`);
  const restockKeys = await loseFirstReply(page, "**/restock");
  await page.getByRole("button", { name: "Restock …" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Units to add").fill("5");
  await dialog.getByRole("button", { name: "Add 5 units" }).click();
  await dialog.waitFor({ state: "detached" });
  expectOneKey(restockKeys);
  expect(await shop.call("GET", "/flash-sales/lost-units")).toMatchObject({ quantity: 15 });
});

test("a lost reply creates one sale, not two", async () => {
  const { product } = await shop.call(
    "GET",
    `/flash-sales/${(await shop.createSale({ slug: "lost-before" })).id}`,
  );
  const page = await shop.openAdminPage(`/admin/sales/new?product=${product.id}`);
  await page.getByLabel("Name in addresses").fill("lost-reply");
  await page.getByLabel("Price (EUR)").fill("10");
  await page.getByLabel("Units", { exact: true }).fill("5");
  const keys = await loseFirstReply(page, "**/admin/flash-sales");
  await page.getByRole("button", { name: "Announce the sale" }).click();
  await page.waitForURL(/\/admin\/sales\/[0-9a-f-]{36}$/);
  const { id } = await shop.call("GET", "/flash-sales/lost-reply");
  expect(saleId(page)).toBe(id);
  expectOneKey(keys);
});

test("a buyer who opens the admin pages sees that they are for admins", async () => {
  const page = await (await shop.newBrowser()).newPage();
  await page.goto("/register?to=%2Fadmin");
  await register(page, "niklaus");
  await page.getByRole("heading", { name: "This is for admins" }).waitFor();
  await checkPage(page, "catalogue-buyer");
});

test("the form has German texts, and reads from right to left in Arabic", async () => {
  const { id } = await shop.createSale({ slug: "words", startsInS: 86_400 * 3, admission: LINE });
  for (const [locale, text, name] of [
    ["de-DE", "Dieser Verkauf in Worten", "de"],
    ["ar-EG", "هذا العرض بالكلمات", "ar"],
  ] as const) {
    const page = await shop.openAdminPage(`/admin/sales/${id}/edit`, { locale });
    await page.getByRole("heading", { name: text }).waitFor();
    await checkPage(page, `sale-form-${name}`);
    await page.goto("/admin");
    await page.getByRole("heading", { level: 3 }).first().waitFor();
    await checkPage(page, `catalogue-sales-${name}`);
  }
});
