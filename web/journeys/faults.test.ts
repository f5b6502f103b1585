// What breaks, or is slow, on the way to a buyer and back: killed servers, slow networks, scripts
// that fail, and scripts where only words should be.

import { afterAll, beforeAll, expect, test } from "vitest";
import { look } from "./look";
import { order, register, Shop, stage, steady } from "./shop";

const LINE = { type: "fifo", perSecond: 50, checkoutSeconds: 120 };

const shop = new Shop();
beforeAll(() => shop.open());
afterAll(() => shop.close());

test("killed in mid-hold and mid-line it comes back with everyone in their place", async () => {
  const visitor = await (await shop.person()).newPage();
  await visitor.goto("/");
  await visitor.getByText("No sale has been announced yet.").waitFor();
  await look(visitor, "sales-none");

  await shop.sale({ slug: "killed", quantity: 1, admission: LINE });
  const pages = [];
  for (const username of ["holds", "waits", "waits-too"]) {
    const page = await (await shop.person()).newPage();
    await page.goto("/register?to=%2Fs%2Fkilled");
    await register(page, username);
    await page.getByRole("button", { name: "Join the line" }).click();
    if (pages.length === 0) await page.getByRole("button", { name: "Take my unit" }).click();
    else await page.getByText(`No. ${pages.length + 1}`).waitFor();
    pages.push(page);
  }
  const [holds, waits, waitsToo] = pages as [typeof visitor, typeof visitor, typeof visitor];
  await order(holds, "pending");
  await Promise.all(pages.map(steady));

  await shop.stopServer("SIGKILL");
  await Promise.all(pages.map((page) => page.getByText("Reconnecting").waitFor()));
  await shop.startServer();
  await Promise.all(pages.map((page) => page.getByText("Reconnecting").waitFor({ state: "detached" })));
  await order(holds, "pending");
  await waits.getByText("No. 2").waitFor();
  await waits.getByText("You are next.").waitFor();
  await waitsToo.getByText("No. 3").waitFor();
  await waitsToo.getByText("1 buyer is ahead of you.").waitFor();
  await Promise.all(pages.map(steady));

  await holds.getByRole("button", { name: "Give it back instead" }).click();
  await holds.getByRole("button", { name: "Give it back", exact: true }).click();
  await stage(waits, "admitted");
  await waitsToo.getByText("You are next.").waitFor();
});

test("whose turn comes while they are offline is called when they are back", async () => {
  const { id } = await shop.sale({ slug: "away", quantity: 1, admission: LINE });
  const first = await shop.holder(id, "ahead");
  const person = await shop.person();
  const page = await person.newPage();
  await page.goto("/register?to=%2Fs%2Faway");
  await register(page, "traveller");
  await page.getByRole("button", { name: "Join the line" }).click();
  await stage(page, "waiting");
  await steady(page);
  await person.setOffline(true);
  await page.getByText("You are offline.").waitFor();
  await first.cancel();
  await person.setOffline(false);
  await stage(page, "admitted");
  await page.getByText("You are offline.").waitFor({ state: "detached" });
});

test("a page that cannot be loaded says so, and goes on trying", async () => {
  await shop.sale({ slug: "unloaded" });
  const page = await (await shop.person()).newPage();
  await page.route("**/api/v1/flash-sales/unloaded", (route) => route.abort());
  await page.goto("/s/unloaded");
  await page.getByRole("heading", { name: "This could not be loaded" }).waitFor();
  await look(page, "unloaded");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.unroute("**/api/v1/flash-sales/unloaded");
  await stage(page, "open");
});

test("a slow network is told, and the press of a button arrives once", async () => {
  await shop.sale({ slug: "slow", quantity: 3 });
  const person = await shop.person();
  const page = await person.newPage();
  await page.goto("/register?to=%2Fs%2Fslow");
  await register(page, "patient");
  await stage(page, "open");
  const network = await person.newCDPSession(page);
  const conditions = { offline: false, downloadThroughput: -1, uploadThroughput: -1 };
  await network.send("Network.enable");
  await network.send("Network.emulateNetworkConditions", { ...conditions, latency: 7_000 });
  await page.getByRole("button", { name: "Buy now" }).dblclick();
  await page.getByText("The connection is slow.").waitFor();
  await look(page, "slow");
  await order(page, "pending");
  await network.send("Network.emulateNetworkConditions", { ...conditions, latency: 0 });
  await page.getByText("The connection is slow.").waitFor({ state: "detached" });
  expect(await shop.ordersOf(page)).toBe(1);
});

test("when a script breaks the buyer is told that nothing is lost, and finds the way back", async () => {
  await shop.sale({ slug: "broken" });
  const page = await (await shop.person()).newPage();
  await page.route("**/api/v1/flash-sales/broken", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), price: null } });
  });
  await page.goto("/s/broken");
  await page.getByRole("heading", { name: "This page has broken" }).waitFor();
  await look(page, "broken");
  await page.unroute("**/api/v1/flash-sales/broken");
  await page.getByRole("button", { name: "Load again" }).click();
  await stage(page, "open");
});

test("scripts in names, prices, addresses and links are words or are refused, and never run", async () => {
  const script = '"><script>document.title = "taken"</script><img src=x onerror="alert(1)">';
  const page = await (await shop.person()).newPage();
  page.on("dialog", () => {
    throw new Error("a name was run");
  });
  const { id } = await shop.sale({ slug: "words", name: script, quantity: 2 });
  const body = { productId: id, slug: script, price: { amount: 4_900, currency: script } };
  await expect(shop.asAdmin("PATCH", `/flash-sales/${id}`, { slug: script })).rejects.toThrow(": 422 ");
  await expect(shop.asAdmin("POST", "/flash-sales", body)).rejects.toThrow(": 422 ");
  await page.goto("/s/words");
  await page.getByRole("heading", { name: script }).waitFor();
  await page.goto(`/s/${encodeURIComponent(script)}`);
  await page.getByText("There is no such sale.").waitFor();
  await page.goto("/register?to=javascript:alert(2)");
  await register(page, "curious");
  await page.getByRole("heading", { name: "Running now" }).waitFor();
  await page.getByRole("link", { name: script }).click();
  await page.getByRole("button", { name: "Buy now" }).click();
  await order(page, "pending");
  await page.goto("/orders");
  await page.getByRole("link", { name: script }).waitFor();
  expect(await page.title()).not.toContain("taken");
});
