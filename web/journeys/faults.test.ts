// Faults: killed servers, slow networks, scripts that fail, and scripts in texts.

import { expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { register, startTestShop, waitForLive, waitForOrder, waitForStage } from "./testShop";

const LINE = { type: "fifo", perSecond: 50, checkoutSeconds: 120 };

const shop = startTestShop();

test("a killed server comes back with all holds and places", async () => {
  const newcomer = await (await shop.newBrowser()).newPage();
  await newcomer.goto("/");
  await newcomer.getByText("No sale has been announced yet.").waitFor();
  await checkPage(newcomer, "sales-none");

  await shop.createSale({ slug: "killed", quantity: 1, admission: LINE });
  const pages = [];
  for (const username of ["holds", "waits", "waits-too"]) {
    const page = await (await shop.newBrowser()).newPage();
    await page.goto("/register?to=%2Fs%2Fkilled");
    await register(page, username);
    await page.getByRole("button", { name: "Join the line" }).click();
    if (pages.length === 0) await page.getByRole("button", { name: "Take my unit" }).click();
    else await page.getByText(`No. ${pages.length + 1}`).waitFor();
    pages.push(page);
  }
  const [holds, waits, waitsToo] = pages as [typeof newcomer, typeof newcomer, typeof newcomer];
  await waitForOrder(holds, "pending");
  await Promise.all(pages.map(waitForLive));

  await shop.stopServer("SIGKILL");
  await Promise.all(pages.map((page) => page.getByText("Reconnecting").waitFor()));
  await shop.startServer();
  await Promise.all(pages.map((page) => page.getByText("Reconnecting").waitFor({ state: "detached" })));
  await waitForOrder(holds, "pending");
  await waits.getByText("No. 2").waitFor();
  await waits.getByText("You are next.").waitFor();
  await waitsToo.getByText("No. 3").waitFor();
  await waitsToo.getByText("1 buyer is ahead of you.").waitFor();
  await Promise.all(pages.map(waitForLive));

  await holds.getByRole("button", { name: "Give it back instead" }).click();
  await holds.getByRole("button", { name: "Give it back", exact: true }).click();
  await waitForStage(waits, "admitted");
  await waitsToo.getByText("You are next.").waitFor();
});

test("a buyer whose turn comes while offline sees it when online again", async () => {
  const { id } = await shop.createSale({ slug: "away", quantity: 1, admission: LINE });
  const first = await shop.holdUnits(id, "ahead");
  const browser = await shop.newBrowser();
  const page = await browser.newPage();
  await page.goto("/register?to=%2Fs%2Faway");
  await register(page, "traveller");
  await page.getByRole("button", { name: "Join the line" }).click();
  await waitForStage(page, "waiting");
  await waitForLive(page);
  await browser.setOffline(true);
  await page.getByText("You are offline.").waitFor();
  await first.cancel();
  await browser.setOffline(false);
  await waitForStage(page, "admitted");
  await page.getByText("You are offline.").waitFor({ state: "detached" });
});

test("a page that fails to load says so, and keeps trying", async () => {
  await shop.createSale({ slug: "unloaded" });
  const page = await (await shop.newBrowser()).newPage();
  await page.route("**/api/v1/flash-sales/unloaded", (route) => route.abort());
  await page.goto("/s/unloaded");
  await page.getByRole("heading", { name: "This could not be loaded" }).waitFor();
  await checkPage(page, "unloaded");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.unroute("**/api/v1/flash-sales/unloaded");
  await waitForStage(page, "open");
});

test("a slow network is shown, and a double click sends one order", async () => {
  await shop.createSale({ slug: "slow", quantity: 3 });
  const browser = await shop.newBrowser();
  const page = await browser.newPage();
  await page.goto("/register?to=%2Fs%2Fslow");
  await register(page, "patient");
  await waitForStage(page, "open");
  const network = await browser.newCDPSession(page);
  const conditions = { offline: false, downloadThroughput: -1, uploadThroughput: -1 };
  await network.send("Network.enable");
  await network.send("Network.emulateNetworkConditions", { ...conditions, latency: 7_000 });
  await page.getByRole("button", { name: "Buy now" }).dblclick();
  await page.getByText("The connection is slow.").waitFor();
  await checkPage(page, "slow");
  await waitForOrder(page, "pending");
  await network.send("Network.emulateNetworkConditions", { ...conditions, latency: 0 });
  await page.getByText("The connection is slow.").waitFor({ state: "detached" });
  expect(await shop.countOrders(page)).toBe(1);
});

test("after a script error the page says that nothing is lost, and reloads", async () => {
  await shop.createSale({ slug: "broken" });
  const page = await (await shop.newBrowser()).newPage();
  await page.route("**/api/v1/flash-sales/broken", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), price: null } });
  });
  await page.goto("/s/broken");
  await page.getByRole("heading", { name: "This page has broken" }).waitFor();
  await checkPage(page, "broken");
  await page.unroute("**/api/v1/flash-sales/broken");
  await page.getByRole("button", { name: "Load again" }).click();
  await waitForStage(page, "open");
});

test("scripts in names, prices, addresses and links are shown as text or refused, and never run", async () => {
  const script = '"><script>document.title = "taken"</script><img src=x onerror="alert(1)">';
  const page = await (await shop.newBrowser()).newPage();
  page.on("dialog", () => {
    throw new Error("the page ran a script from a name");
  });
  const { id } = await shop.createSale({ slug: "words", name: script, quantity: 2 });
  const body = { productId: id, slug: script, price: { amount: 4_900, currency: script } };
  await expect(shop.callAsAdmin("PATCH", `/flash-sales/${id}`, { slug: script })).rejects.toThrow(": 422 ");
  await expect(shop.callAsAdmin("POST", "/flash-sales", body)).rejects.toThrow(": 422 ");
  await page.goto("/s/words");
  await page.getByRole("heading", { name: script }).waitFor();
  await page.goto(`/s/${encodeURIComponent(script)}`);
  await page.getByRole("heading", { name: "There is no such sale" }).waitFor();
  await page.goto("/register?to=javascript:alert(2)");
  await register(page, "curious");
  await page.getByRole("heading", { name: "Running now" }).waitFor();
  await page.getByRole("link", { name: script }).click();
  await page.getByRole("button", { name: "Buy now" }).click();
  await waitForOrder(page, "pending");
  await page.goto("/orders");
  await page.getByRole("main").getByRole("link", { name: script }).waitFor();
  expect(await page.title()).not.toContain("taken");
});
