// What a merchant does with products and sales: from the first visit to a sale that runs, with the mistakes on the way.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { look } from "./look";
import { register, Shop, signIn } from "./shop";

const shop = new Shop();
beforeAll(() => shop.open());
afterAll(() => shop.close());

const LINE = { type: "fifo", perSecond: 5, checkoutSeconds: 120, lineOpensSecondsBefore: 60 };

/** A page of the merchant, signed in. */
async function merchant(path: string, options: Parameters<Shop["person"]>[0] = {}): Promise<Page> {
  const page = await (await shop.person({ timezoneId: "Europe/Berlin", ...options })).newPage();
  page.on("dialog", () => {
    throw new Error("a name was run");
  });
  await page.goto(`/sign-in?to=${encodeURIComponent(path)}`);
  if (options.locale === undefined) await signIn(page, "boss@example.com");
  else {
    await page.locator("[name=name]").fill("boss@example.com");
    await page.locator("[name=password]").fill("correct horse battery");
    await page.locator("[type=submit]").click();
  }
  await page.waitForURL((url) => url.pathname + url.search === path);
  return page;
}

const saved = (page: Page) => page.getByText("Saved.", { exact: true }).waitFor();
const idIn = (page: Page) => new URL(page.url()).pathname.split("/").pop() ?? "";
const row = (page: Page, name: string) => page.getByRole("listitem").filter({ hasText: name });

test("the first visit leads to a product, and from there to a sale", async () => {
  const page = await (await shop.person({ timezoneId: "Europe/Berlin" })).newPage();
  await page.goto("/admin");
  await page.getByText("These pages are for admins of this shop.").waitFor();
  await page.getByRole("link", { name: "Sign in" }).click();
  await signIn(page, "boss@example.com");
  await page.getByRole("heading", { name: "Your first sale, in two steps" }).waitFor();
  await look(page, "catalogue-first");
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
  await look(page, "product-wrong");
  await page.getByLabel("List price").fill("129,90");
  await page.getByText("That is €129.90.").waitFor();
  await page.getByLabel("Address of a picture").fill("/assets/none.png");
  await page.keyboard.press("Tab");
  await page.getByText("There is no picture at this address").waitFor();
  await page.getByLabel("Address of a picture").fill("");
  await page.getByRole("button", { name: "Make the product" }).dblclick();
  await saved(page);
  await page.getByRole("heading", { name: "Aurora desk lamp" }).waitFor();
  await look(page, "product");

  await page.getByRole("link", { name: "Sales", exact: true }).click();
  await page.getByText("Done. You can make more at any time.").waitFor();
  await look(page, "catalogue-first-product");
  await page.getByRole("link", { name: "Make the sale" }).click();
  await page.getByRole("button", { name: "Announce the sale" }).click();
  expect(await page.getByLabel("Product").evaluate((it) => it === document.activeElement)).toBe(true);
  await page.getByLabel("Product").selectOption({ label: "Aurora desk lamp (€129.90)" });
  expect(await page.getByLabel("Name in addresses").inputValue()).toBe("aurora-desk-lamp");
  await page.getByLabel("Price (EUR)").fill("forty");
  await page.getByLabel("Units", { exact: true }).fill("0");
  await page.getByLabel("Ends").fill("2020-01-01T10:00");
  await page.getByRole("button", { name: "Announce the sale" }).click();
  await page.getByText("This price cannot be read.").waitFor();
  await page.getByText("A whole number from 1 to 10,000,000, please.").waitFor();
  await page.getByText("A sale ends after it starts.").waitFor();
  await look(page, "sale-form-wrong");
  await page.getByLabel("Price (EUR)").fill("49");
  await page.getByLabel("Units", { exact: true }).fill("1,000");
  await page.getByLabel("Starts").fill("2031-03-30T02:30");
  await page.getByLabel("Ends").fill("2031-03-30T12:00");
  await page.getByText("The clocks go forward then").waitFor();
  await page.getByLabel("Starts").fill("2031-03-30T10:00");
  await page.getByText("and runs 2 hours.").waitFor();
  await page.getByText("1,000 units at €49.00 each, 62 % less than the list price.").waitFor();
  await look(page, "sale-form");
  await page.getByRole("button", { name: "Announce the sale" }).dblclick();
  await page.waitForURL(/\/admin\/sales\/[0-9a-f-]{36}$/);
  const { sale } = await shop.asAdmin("GET", `/flash-sales/${idIn(page)}/overview`);
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

test("the keyboard alone makes a sale", async () => {
  const { product } = await shop.call("GET", `/flash-sales/${(await shop.sale({ slug: "keys-before" })).id}`);
  const page = await merchant(`/admin/sales/new?product=${product.id}`);
  const press = async (...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const reach = async (name: string) => {
    for (let tabs = 0; tabs < 60; tabs++) {
      await press("Tab");
      if (await page.evaluate((name) => document.activeElement?.getAttribute("name") === name, name)) return;
    }
    throw new Error(`${name} cannot be reached by the keyboard`);
  };
  await page.getByLabel("Name in addresses").waitFor();
  await reach("slug");
  await press("ControlOrMeta+a");
  await page.keyboard.type("keys");
  await reach("price");
  await page.keyboard.type("19.5");
  await reach("quantity");
  await page.keyboard.type("25");
  await reach("endsAt");
  const before = await page.getByLabel("Ends").inputValue();
  await press("ArrowUp");
  expect(await page.getByLabel("Ends").inputValue()).not.toBe(before);
  await press("ArrowDown");
  await reach("admission");
  await press("ArrowDown");
  await reach("payment");
  await press("ArrowDown");
  await press("Tab");
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Announce the sale");
  await press("Enter");
  await page.waitForURL(/\/admin\/sales\/[0-9a-f-]{36}$/);
  const { sale } = await shop.asAdmin("GET", `/flash-sales/${idIn(page)}/overview`);
  expect(sale).toMatchObject({
    slug: "keys",
    price: { amount: 1950 },
    quantity: 25,
    admission: { type: "open" },
    payment: "none",
  });
});

test("a sale is duplicated under a name of its own; one that is taken is told at its field", async () => {
  const { id } = await shop.sale({
    slug: "copied",
    name: "Copied lamp",
    quantity: 77,
    limitPerBuyer: 3,
    admission: LINE,
  });
  const page = await merchant("/admin");
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
  await look(page, "sale-form-taken");
  await page.getByLabel("Name in addresses").fill("copied-again");
  await page.getByRole("button", { name: "Announce the sale" }).click();
  await page.waitForURL(/\/admin\/sales\/[0-9a-f-]{36}$/);
  const { sale } = await shop.asAdmin("GET", `/flash-sales/${idIn(page)}/overview`);
  expect(sale).toMatchObject({ quantity: 77, limitPerBuyer: 3, admission: LINE, status: "upcoming" });
  expect(sale.id).not.toBe(id);
});

test("of a sale that runs, only what adds to it can change; it is paused, restocked and closed", async () => {
  const { id } = await shop.sale({ slug: "runs", name: "Running lamp", quantity: 10 });
  const buyer = await shop.stranger("rosa");
  await shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, buyer.token);
  const page = await merchant(`/admin/sales/${id}/edit`);
  await page.getByText("Buyers may rely on this sale by now.").waitFor();
  for (const label of ["Product", "Name in addresses", "Price (EUR)", "Starts", "Units per buyer, at most"]) {
    expect(await page.getByLabel(`${label} (cannot change any more)`).isDisabled(), label).toBe(true);
  }
  await look(page, "sale-edit-running");
  await page.getByLabel("Units", { exact: true }).fill("9");
  await page.getByRole("button", { name: "Save the changes" }).click();
  await page.getByText("Buyers rely on the 10 units").waitFor();
  await page.getByLabel("Units", { exact: true }).fill("12");
  await page.getByLabel("Seconds to pay").fill("120");
  await page.getByRole("button", { name: "Save the changes" }).dblclick();
  await saved(page);

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
  await look(page, "control-restock");
  await dialog.getByRole("button", { name: "Add 8 units" }).dblclick();
  await dialog.waitFor({ state: "detached" });
  await page.waitForFunction(
    () => document.querySelector<HTMLInputElement>("[name=quantity]")?.value === "20",
  );
  expect(await shop.asAdmin("GET", `/flash-sales/${id}/overview`)).toMatchObject({
    sale: { quantity: 20, holdSeconds: 120, held: 1 },
  });

  await page.getByRole("button", { name: "Close …" }).click();
  await dialog.getByText("This is for good").waitFor();
  await look(page, "control-close");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  const opener = page.getByRole("button", { name: "Close …" });
  expect(await opener.evaluate((it) => it === document.activeElement)).toBe(true);
  await opener.click();
  await dialog.getByRole("button", { name: "Close for good" }).click();
  await page.locator("[data-status=closed]").waitFor();
  await page.getByText("This sale is over, so nothing about it can change.").waitFor();
  await look(page, "sale-edit-closed");
});

test("a change that comes too late is told kindly, and the form shows what is still possible", async () => {
  const { id } = await shop.sale({
    slug: "late",
    name: "Late lamp",
    startsInS: 3_600,
    admission: { ...LINE, lineOpensSecondsBefore: 0 },
  });
  const page = await merchant(`/admin/sales/${id}/edit`);
  await page.getByLabel("Price (EUR)").fill("1");
  // Another admin opens the line meanwhile, which this page cannot have heard of yet.
  await page.route("**/overview", (route) => route.abort());
  await shop.asAdmin("PATCH", `/flash-sales/${id}`, {
    admission: { ...LINE, lineOpensSecondsBefore: 7_200 },
  });
  await page.getByRole("button", { name: "Save the changes" }).click();
  await page.getByText("This would take back what buyers rely on by now, so nothing was saved.").waitFor();
  await page.unroute("**/overview");
  await page.getByText("Buyers may rely on this sale by now.").waitFor();
  await look(page, "sale-edit-late");
});

test("a sale that nobody came to is deleted; a product on sale is not", async () => {
  const { id } = await shop.sale({ slug: "nobody", name: "Nobody's lamp", startsInS: 3_600 });
  const { product } = await shop.call("GET", `/flash-sales/${id}`);
  const page = await merchant("/admin/products");
  await page.getByRole("heading", { name: "Nobody's lamp" }).waitFor();
  await look(page, "products");
  await page.getByRole("button", { name: "Delete: Nobody's lamp" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Delete the product" }).click();
  await dialog.getByText("A sale that is not over sells this product, so it stays.").waitFor();
  await look(page, "product-in-use");
  await dialog.getByRole("button", { name: "Cancel" }).click();

  await page.goto(`/admin/sales/${id}/edit`);
  await page.getByRole("button", { name: "Delete …" }).click();
  await look(page, "control-delete");
  await dialog.getByRole("button", { name: "Delete the sale" }).dblclick();
  await page.waitForURL(/\/admin$/);
  await page.goto(`/admin/products/${product.id}`);
  await page.getByLabel("List price").fill("150");
  await page.getByLabel("Currency").selectOption("JPY");
  await page.getByRole("button", { name: "Save the changes" }).click();
  await saved(page);
  expect(await shop.call("GET", `/products/${product.id}`)).toMatchObject({
    price: { amount: 150, currency: "JPY" },
  });
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await dialog.getByRole("button", { name: "Delete the product" }).click();
  await page.waitForURL(/\/admin\/products$/);
  await page.getByRole("heading", { name: "Products" }).waitFor();
  expect(await page.getByRole("heading", { name: "Nobody's lamp" }).count()).toBe(0);
});

test("a script in a name is only a name, and the list shows what runs, comes and is over", async () => {
  const name = '<img src=x onerror="alert(1)"> & <script>alert(2)</script>';
  const { id } = await shop.sale({ slug: "script", name, startsInS: 900 });
  const over = await shop.sale({ slug: "over", name: "Old lamp" });
  await shop.asAdmin("POST", `/flash-sales/${over.id}/close`);
  await shop.sale({
    slug: "now",
    name: "A lamp with a name that is far too long for the room that it has in a list",
  });
  const page = await merchant("/admin");
  await page.getByRole("heading", { name }).waitFor();
  for (const title of ["Running", "Coming up", "Over"]) {
    await page.getByRole("heading", { name: title, exact: true }).waitFor();
  }
  await look(page, "catalogue-sales");
  await page.getByRole("link", { name: `Edit: ${name}` }).click();
  await page.getByRole("heading", { name }).waitFor();
  await page.getByLabel("Name in addresses").fill("<b>x</b>");
  await page.getByRole("button", { name: "Save the changes" }).click();
  await page.getByText("1 to 64 of a-z, 0-9 and -").waitFor();
  await look(page, "catalogue-script");
  const { product } = await shop.call("GET", `/flash-sales/${id}`);
  await page.goto(`/admin/sales/new?product=${product.id}`);
  await page.getByLabel("Name in addresses").waitFor();
  expect(await page.getByLabel("Name in addresses").inputValue()).toMatch(/^[a-z0-9-]+$/);
});

test("what the server alone finds wrong stands beside its field", async () => {
  const { product } = await shop.call("GET", `/flash-sales/${(await shop.sale({ slug: "gone-before" })).id}`);
  const page = await merchant(`/admin/sales/new?product=${product.id}`);
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
  await page.getByText("/moon is not a field here").waitFor();
  expect(await page.getByLabel("Product").evaluate((it) => it === document.activeElement)).toBe(true);
});

test("a reply that gets lost makes one sale, not two", async () => {
  const { product } = await shop.call("GET", `/flash-sales/${(await shop.sale({ slug: "lost-before" })).id}`);
  const page = await merchant(`/admin/sales/new?product=${product.id}`);
  await page.getByLabel("Name in addresses").fill("lost-reply");
  await page.getByLabel("Price (EUR)").fill("10");
  await page.getByLabel("Units", { exact: true }).fill("5");
  let lost = 0;
  await page.route("**/admin/flash-sales", async (route) => {
    if (route.request().method() !== "POST" || lost > 0) return route.continue();
    lost += 1;
    await route.fetch();
    return route.abort();
  });
  await page.getByRole("button", { name: "Announce the sale" }).click();
  await page.waitForURL(/\/admin\/sales\/[0-9a-f-]{36}$/);
  const { id } = await shop.call("GET", "/flash-sales/lost-reply");
  expect([lost, idIn(page)]).toEqual([1, id]);
});

test("a buyer who opens the admin pages is told whom they are for", async () => {
  const page = await (await shop.person()).newPage();
  await page.goto("/register?to=%2Fadmin");
  await register(page, "niklaus");
  await page.getByRole("heading", { name: "This is for admins" }).waitFor();
  await look(page, "catalogue-buyer");
});

test("the form is German in German, and reads from right to left in Arabic", async () => {
  const { id } = await shop.sale({ slug: "words", startsInS: 86_400 * 3, admission: LINE });
  for (const [locale, text, name] of [
    ["de-DE", "Dieser Verkauf in Worten", "de"],
    ["ar-EG", "هذا العرض بالكلمات", "ar"],
  ] as const) {
    const page = await merchant(`/admin/sales/${id}/edit`, { locale });
    await page.getByRole("heading", { name: text }).waitFor();
    await look(page, `sale-form-${name}`);
    await page.goto("/admin");
    await page.getByRole("heading", { level: 3 }).first().waitFor();
    await look(page, `catalogue-sales-${name}`);
  }
});
