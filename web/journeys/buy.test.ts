// A purchase from the list of sales to the paid order.

import { expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { register, startTestShop, waitForOrder, waitForStage } from "./testShop";

const shop = startTestShop();

test("a buyer finds an open sale, registers, buys and pays", async () => {
  await shop.createSale({ slug: "open", quantity: 5 });
  const page = await (await shop.newBrowser()).newPage();
  const externalRequests: string[] = [];
  const errors: string[] = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(shop.address)) externalRequests.push(request.url());
  });
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto("/");
  await page.getByRole("heading", { name: "Running now" }).waitFor();
  await checkPage(page, "sales");
  await page.getByRole("link", { name: "Aurora desk lamp" }).click();
  await waitForStage(page, "open");
  await page.getByRole("link", { name: "Sign in to buy" }).click();
  await checkPage(page, "sign-in");
  await page.getByRole("link", { name: "Create account" }).click();
  await checkPage(page, "register");
  await register(page, "ada");
  await waitForStage(page, "open");
  await checkPage(page, "open");
  await page.getByRole("button", { name: "Buy now" }).dblclick();
  await waitForOrder(page, "pending");
  await checkPage(page, "pay");
  await page.reload();
  await waitForOrder(page, "pending");
  await page.getByRole("link", { name: "Aurora desk lamp" }).click();
  await waitForStage(page, "held");
  await checkPage(page, "held");
  await page.getByRole("link", { name: "Go and pay" }).click();
  await page.getByRole("button", { name: "Pay €49.00" }).dblclick();
  await waitForOrder(page, "confirmed");
  await checkPage(page, "confirmed");
  expect(await page.locator("h1").evaluate((heading) => heading === document.activeElement)).toBe(true);
  await page.getByRole("main").getByRole("link", { name: "Your orders" }).click();
  await page.getByText("Paid", { exact: true }).waitFor();
  expect(await page.getByRole("main").getByRole("listitem").count()).toBe(1);
  await checkPage(page, "orders");
  await page.goto("/s/open");
  await waitForStage(page, "bought");
  await checkPage(page, "bought");
  expect(externalRequests).toEqual([]);
  expect(errors).toEqual([]);
});

test("a buyer joins the line, is admitted and takes the reserved unit; two tabs show the same", async () => {
  const admission = {
    type: "fifo",
    perSecond: 1,
    checkoutSeconds: 60,
    lineOpensSecondsBefore: 3_600,
    extensionSeconds: 120,
  };
  const first = await shop.registerBuyer("first");
  const { id } = await shop.createSale({ slug: "line", quantity: 3, startsInS: 30, admission });
  await shop.call("POST", "/queue/join", { flashSaleId: id }, first.token);

  const browser = await shop.newBrowser();
  const page = await browser.newPage();
  await page.goto("/register?to=%2Fs%2Fline");
  await register(page, "grace");
  await waitForStage(page, "upcoming");
  await page.getByRole("button", { name: "Join the line" }).dblclick();
  await waitForStage(page, "waiting");
  await page.getByText("1 buyer is ahead of you.").waitFor();

  const tab = await browser.newPage();
  await tab.goto("/s/line");
  await waitForStage(tab, "waiting");
  await tab.getByText("No. 2").waitFor();
  await page.reload();
  await waitForStage(page, "waiting");
  await checkPage(page, "waiting");

  await page.locator('[data-stage="admitted"]').waitFor({ timeout: 60_000 });
  expect(await page.title()).toContain("Your turn");
  expect(await page.locator("#buyer-panel").evaluate((heading) => heading === document.activeElement)).toBe(
    true,
  );
  await waitForStage(tab, "admitted");
  await checkPage(page, "admitted");
  await tab.reload();
  await waitForStage(tab, "admitted");

  // The turn can be extended once, and both tabs show it.
  const extend = tab.getByRole("button", { name: /more/ });
  await extend.waitFor();
  await page.getByRole("button", { name: /more/ }).dblclick();
  await page.waitForFunction(() => /^[23]:/.test(document.querySelector("[role=timer]")?.textContent ?? ""));
  await extend.waitFor({ state: "detached" });
  await tab.waitForFunction(() => /^[23]:/.test(document.querySelector("[role=timer]")?.textContent ?? ""));
  await checkPage(page, "more-time");
  await page.getByRole("button", { name: "Take my unit" }).click();
  await waitForOrder(page, "pending");
  await waitForStage(tab, "held");
  await page.getByRole("button", { name: "Pay €49.00" }).click();
  await waitForOrder(page, "confirmed");
  await waitForStage(tab, "bought");
});

test("a buyer registers, buys and pays by keyboard alone", async () => {
  await shop.createSale({ slug: "keys", name: "Keyboard lamp", quantity: 1 });
  const page = await (await shop.newBrowser({ viewport: { width: 320, height: 700 } })).newPage();
  /** Presses Tab until the element with this accessible name has the focus. */
  const tabTo = async (name: string) => {
    const focused = page.locator(":focus");
    for (let tabs = 0; tabs < 40; tabs++) {
      await page.keyboard.press("Tab");
      if ((await focused.ariaSnapshot()).includes(`"${name}"`)) return;
    }
    throw new Error(`${name} cannot be reached by the keyboard`);
  };
  await page.goto("/");
  await page.getByRole("link", { name: "Keyboard lamp" }).waitFor();
  await tabTo("Keyboard lamp");
  await page.keyboard.press("Enter");
  await waitForStage(page, "open");
  await tabTo("Sign in to buy");
  await page.keyboard.press("Enter");
  await page.getByLabel("E-mail or username").waitFor();
  await tabTo("Create account");
  await page.keyboard.press("Enter");
  await page.getByLabel("Username").waitFor();
  for (const [label, text] of [
    ["E-mail", "keys@example.com"],
    ["Username", "keys"],
    ["Password", "correct horse battery"],
  ] as const) {
    await tabTo(label);
    await page.keyboard.type(text);
  }
  await page.keyboard.press("Enter");
  await waitForStage(page, "open");
  await tabTo("Buy now €49.00");
  await page.keyboard.press("Enter");
  await waitForOrder(page, "pending");
  await tabTo("Pay €49.00");
  await page.keyboard.press("Enter");
  await waitForOrder(page, "confirmed");
});

test("a declined card keeps the unit, and the buyer pays with another one", async () => {
  await shop.createSale({ slug: "declined", quantity: 1 });
  const page = await (await shop.newBrowser()).newPage();
  await page.goto("/register?to=%2Fs%2Fdeclined");
  await register(page, "linus");
  await page.getByRole("button", { name: "Buy now" }).click();
  await waitForOrder(page, "pending");
  await page.getByLabel("Test card that is declined").check();
  await page.getByRole("button", { name: "Pay €49.00" }).click();
  await page.getByText("Your unit is still yours until").waitFor();
  await waitForOrder(page, "pending");
  await page.getByLabel("Test card whose answer gets lost").check();
  await page.getByRole("button", { name: "Pay €49.00" }).click();
  await waitForOrder(page, "confirmed");
});

test("a payment that lasts longer than the hold is never called expired, and is taken once", async () => {
  await shop.createSale({ slug: "slow-bank", quantity: 2, holdSeconds: 12, limitPerBuyer: 2 });
  const page = await (await shop.newBrowser()).newPage();
  await page.goto("/register?to=%2Fs%2Fslow-bank");
  await register(page, "grete");
  await page.getByRole("button", { name: "Buy now" }).click();
  await waitForOrder(page, "pending");
  const statuses: string[] = [];
  await page.exposeFunction("recordStatus", (status: string) => statuses.push(status));
  await page.evaluate(() => {
    const record = (window as unknown as { recordStatus: (status: string) => void }).recordStatus;
    new MutationObserver(() => {
      record(document.querySelector<HTMLElement>("[data-order]")?.dataset.order ?? "");
    }).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  await page.getByLabel("after three seconds").check();
  // No more of the hold is left than the bank takes.
  await page.waitForFunction(() =>
    /^0:0[1-3]$/.test(document.querySelector("[role=timer]")?.textContent ?? ""),
  );
  await page.getByRole("button", { name: "Pay €49.00" }).click();
  await page.getByRole("heading", { name: "We are waiting for your bank" }).waitFor();
  await waitForOrder(page, "confirmed");
  expect(statuses).not.toContain("expired");
  expect(await shop.countOrders(page)).toBe(1);
});

test("what is paid on collection is reserved with one click, and is never called paid", async () => {
  await shop.createSale({ slug: "collect", payment: "none" });
  const page = await (await shop.newBrowser()).newPage();
  await page.goto("/register?to=%2Fs%2Fcollect");
  await register(page, "hedy");
  await page.getByRole("button", { name: "Reserve €49.00" }).click();
  await page.getByRole("heading", { name: "Order confirmed, to be paid on collection" }).waitFor();
  await page.goto("/orders");
  await page.getByText("To be paid on collection").waitFor();
});

test("the page shows an expired hold, units in other carts, and the end of the stock", async () => {
  const { id } = await shop.createSale({ slug: "short", quantity: 1, holdSeconds: 12 });
  const slow = await shop.registerBuyer("slow");
  await shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, slow.token);
  const page = await (await shop.newBrowser()).newPage();
  await page.goto("/s/short");
  await waitForStage(page, "all_held");
  await checkPage(page, "all-held");
  await page.getByRole("link", { name: "Sign in", exact: true }).click();
  await page.getByRole("link", { name: "Create account" }).click();
  await register(page, "alan");
  await waitForStage(page, "open");
  await page.getByRole("button", { name: "Buy now" }).click();
  await waitForOrder(page, "pending");
  await waitForOrder(page, "expired");
  await checkPage(page, "expired");

  const quick = await shop.registerBuyer("quick");
  const taken = await shop.call("POST", "/orders", { flashSaleId: id, quantity: 1 }, quick.token);
  await shop.call("POST", `/orders/${taken.id}/pay`, { method: "sandbox:approve" }, quick.token);
  await page.goto("/s/short");
  await waitForStage(page, "sold_out");
  await checkPage(page, "sold-out");
});

test("a buyer pays on the bank's page and comes back to an order that is paid", async () => {
  await shop.createSale({ slug: "bank", name: "Bank lamp", quantity: 3 });
  for (const [name, decide, expected] of [
    ["bankyes", "Approve the payment", "confirmed"],
    ["bankno", "Decline the payment", "pending"],
  ] as const) {
    const page = await (await shop.newBrowser()).newPage();
    const errors: string[] = [];
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    await page.goto("/register?to=%2Fs%2Fbank");
    await register(page, name);
    await waitForStage(page, "open");
    await page.getByRole("button", { name: "Buy now" }).click();
    await waitForOrder(page, "pending");
    await page.getByLabel("Test bank").check();
    await page.getByRole("button", { name: "Pay €49.00" }).click();
    await page.getByRole("heading", { name: "Test bank" }).waitFor();
    await page.getByText("Bank lamp").waitFor();
    await page.getByText("49.00 EUR").waitFor();
    // A second look at the order leads to the same page.
    const address = page.url();
    await page.getByRole("link", { name: "Back to the shop" }).click();
    await waitForOrder(page, "pending");
    await page.getByLabel("Test bank").check();
    await page.getByRole("button", { name: "Pay €49.00" }).click();
    await page.getByRole("heading", { name: "Test bank" }).waitFor();
    expect(page.url()).toBe(address);
    await page.getByRole("button", { name: decide }).click();
    await waitForOrder(page, expected);
    expect(errors).toEqual([]);
  }
});

test("an order waits for a bank that takes its time, and changes by itself", async () => {
  await shop.createSale({ slug: "patient-bank", quantity: 1 });
  const browser = await shop.newBrowser();
  const page = await browser.newPage();
  await page.goto("/register?to=%2Fs%2Fpatient-bank");
  await register(page, "patient");
  await waitForStage(page, "open");
  await page.getByRole("button", { name: "Buy now" }).click();
  await waitForOrder(page, "pending");
  const order = new URL(page.url()).pathname;
  await page.getByLabel("Test bank").check();
  await page.getByRole("button", { name: "Pay €49.00" }).click();
  await page.getByRole("button", { name: "Submit it, and let the bank take its time" }).click();
  await page.getByText("The bank has not answered yet").waitFor();
  const tab = await browser.newPage();
  await tab.goto(order);
  await tab.locator("[data-paying]").waitFor();
  await page.getByRole("button", { name: "Approve the payment" }).click();
  await waitForOrder(page, "confirmed");
  await waitForOrder(tab, "confirmed");
});
