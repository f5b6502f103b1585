// Buying, from the first look to the paid order.

import { afterAll, beforeAll, expect, test } from "vitest";
import { look } from "./look";
import { order, register, Shop, stage } from "./shop";

const shop = new Shop();
beforeAll(() => shop.open());
afterAll(() => shop.close());

test("a buyer finds an open sale, makes an account, buys and pays", async () => {
  await shop.sale({ slug: "open", quantity: 5 });
  const page = await (await shop.person()).newPage();
  const outside: string[] = [];
  const complaints: string[] = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(shop.address)) outside.push(request.url());
  });
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto("/");
  await page.getByRole("heading", { name: "Running now" }).waitFor();
  await look(page, "sales");
  await page.getByRole("link", { name: "Aurora desk lamp" }).click();
  await stage(page, "open");
  await page.getByRole("link", { name: "Sign in to buy" }).click();
  await look(page, "sign-in");
  await page.getByRole("link", { name: "Create account" }).click();
  await look(page, "register");
  await register(page, "ada");
  await stage(page, "open");
  await look(page, "open");
  await page.getByRole("button", { name: "Buy now" }).dblclick();
  await order(page, "pending");
  await look(page, "pay");
  await page.reload();
  await order(page, "pending");
  await page.getByRole("link", { name: "Aurora desk lamp" }).click();
  await stage(page, "held");
  await look(page, "held");
  await page.getByRole("link", { name: "Go and pay" }).click();
  await page.getByRole("button", { name: "Pay €49.00" }).dblclick();
  await order(page, "confirmed");
  await look(page, "confirmed");
  expect(await page.locator("h1").evaluate((heading) => heading === document.activeElement)).toBe(true);
  await page.getByRole("main").getByRole("link", { name: "Your orders" }).click();
  await page.getByText("Paid", { exact: true }).waitFor();
  expect(await page.getByRole("main").getByRole("listitem").count()).toBe(1);
  await look(page, "orders");
  await page.goto("/s/open");
  await stage(page, "bought");
  await look(page, "bought");
  expect(outside).toEqual([]);
  expect(complaints).toEqual([]);
});

test("in a line one waits, is called, and takes the unit that is set aside; two tabs agree", async () => {
  const admission = {
    type: "fifo",
    perSecond: 1,
    checkoutSeconds: 60,
    lineOpensSecondsBefore: 3_600,
    extensionSeconds: 120,
  };
  const { id } = await shop.sale({ slug: "line", quantity: 3, startsInS: 14, admission });
  const first = await shop.stranger("first");
  await shop.call("POST", "/queue/join", { flashSaleId: id }, first.token);

  const person = await shop.person();
  const page = await person.newPage();
  await page.goto("/register?to=%2Fs%2Fline");
  await register(page, "grace");
  await stage(page, "upcoming");
  await page.getByRole("button", { name: "Join the line" }).dblclick();
  await stage(page, "waiting");
  await page.getByText("1 buyer is ahead of you.").waitFor();

  const tab = await person.newPage();
  await tab.goto("/s/line");
  await stage(tab, "waiting");
  await tab.getByText("No. 2").waitFor();
  await page.reload();
  await stage(page, "waiting");
  await look(page, "waiting");

  await stage(page, "admitted");
  expect(await page.title()).toContain("Your turn");
  expect(await page.locator("#buyer-panel").evaluate((heading) => heading === document.activeElement)).toBe(
    true,
  );
  await stage(tab, "admitted");
  await look(page, "admitted");
  await tab.reload();
  await stage(tab, "admitted");

  // More time is for the asking, once, and both tabs know it.
  const more = tab.getByRole("button", { name: /more/ });
  await more.waitFor();
  await page.getByRole("button", { name: /more/ }).dblclick();
  await page.waitForFunction(() => /^[23]:/.test(document.querySelector("[role=timer]")?.textContent ?? ""));
  await more.waitFor({ state: "detached" });
  await tab.waitForFunction(() => /^[23]:/.test(document.querySelector("[role=timer]")?.textContent ?? ""));
  await look(page, "more-time");
  await page.getByRole("button", { name: "Take my unit" }).click();
  await order(page, "pending");
  await stage(tab, "held");
  await page.getByRole("button", { name: "Pay €49.00" }).click();
  await order(page, "confirmed");
  await stage(tab, "bought");
});

test("the keyboard alone makes an account, buys and pays", async () => {
  await shop.sale({ slug: "keys", name: "Keyboard lamp", quantity: 1 });
  const page = await (await shop.person({ viewport: { width: 320, height: 700 } })).newPage();
  /** Goes on with Tab to what has this name, as whoever sees or hears it knows it. */
  const reach = async (name: string) => {
    const focused = page.locator(":focus");
    for (let tabs = 0; tabs < 40; tabs++) {
      await page.keyboard.press("Tab");
      if ((await focused.ariaSnapshot()).includes(`"${name}"`)) return;
    }
    throw new Error(`${name} cannot be reached by the keyboard`);
  };
  await page.goto("/");
  await page.getByRole("link", { name: "Keyboard lamp" }).waitFor();
  await reach("Keyboard lamp");
  await page.keyboard.press("Enter");
  await stage(page, "open");
  await reach("Sign in to buy");
  await page.keyboard.press("Enter");
  await page.getByLabel("E-mail or username").waitFor();
  await reach("Create account");
  await page.keyboard.press("Enter");
  await page.getByLabel("Username").waitFor();
  for (const [label, text] of [
    ["E-mail", "keys@example.com"],
    ["Username", "keys"],
    ["Password", "correct horse battery"],
  ] as const) {
    await reach(label);
    await page.keyboard.type(text);
  }
  await page.keyboard.press("Enter");
  await stage(page, "open");
  await reach("Buy now");
  await page.keyboard.press("Enter");
  await order(page, "pending");
  await reach("Pay €49.00");
  await page.keyboard.press("Enter");
  await order(page, "confirmed");
});

test("a declined card gives the unit back, and the buyer tries again", async () => {
  await shop.sale({ slug: "declined", quantity: 1 });
  const page = await (await shop.person()).newPage();
  await page.goto("/register?to=%2Fs%2Fdeclined");
  await register(page, "linus");
  await page.getByRole("button", { name: "Buy now" }).click();
  await order(page, "pending");
  await page.getByLabel("Test card that is declined").check();
  await page.getByRole("button", { name: "Pay €49.00" }).click();
  await order(page, "declined");
  await look(page, "declined");
  await page.getByRole("link", { name: "Try again" }).click();
  await stage(page, "open");
  await page.getByRole("button", { name: "Buy now" }).click();
  await order(page, "pending");
  await page.getByLabel("Test card whose answer gets lost").check();
  await page.getByRole("button", { name: "Pay €49.00" }).click();
  await order(page, "confirmed");
});

test("a hold that is not paid runs out and is told, and so are other carts and the end of the stock", async () => {
  const { id } = await shop.sale({ slug: "short", quantity: 1, holdSeconds: 8 });
  const slow = await shop.stranger("slow");
  await shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, slow.token);
  const page = await (await shop.person()).newPage();
  await page.goto("/s/short");
  await stage(page, "all_held");
  await look(page, "all-held");
  await page.getByRole("link", { name: "Sign in", exact: true }).click();
  await page.getByRole("link", { name: "Create account" }).click();
  await register(page, "alan");
  await stage(page, "open");
  await page.getByRole("button", { name: "Buy now" }).click();
  await order(page, "pending");
  await order(page, "expired");
  await look(page, "expired");

  const quick = await shop.stranger("quick");
  const taken = await shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, quick.token);
  await shop.call("POST", `/orders/${taken.id}/pay`, { method: "sandbox:approve" }, quick.token);
  await page.goto("/s/short");
  await stage(page, "sold_out");
  await look(page, "sold-out");
});
