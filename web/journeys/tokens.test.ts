// Access tokens that last a few seconds.

import { expect, test } from "vitest";
import { register, startTestShop, waitForLive, waitForStage, waitUntil } from "./testShop";

const LINE = { type: "fifo", perSecond: 50, checkoutSeconds: 120 };

const shop = startTestShop("--token-ttl", "12s");

test("a token that expires in the line is renewed once for all tabs, and the place is kept", async () => {
  const { id } = await shop.createSale({ slug: "token", quantity: 1, holdSeconds: 300, admission: LINE });
  await shop.holdUnits(id, "ahead");
  const browser = await shop.newBrowser();
  const page = await browser.newPage();
  await page.goto("/register?to=%2Fs%2Ftoken");
  await register(page, "renewed");
  await page.getByRole("button", { name: "Join the line" }).click();
  await page.getByText("No. 2").waitFor();
  const tab = await browser.newPage();
  await tab.goto("/s/token");
  await Promise.all([waitForLive(page), waitForLive(tab)]);
  let renewals = 0;
  browser.on("response", (response) => {
    if (response.url().endsWith("/auth/refresh") && response.ok()) renewals += 1;
  });
  await waitUntil(() => renewals === 1, "the token is renewed");
  await Promise.all([waitForLive(page), waitForLive(tab)]);
  expect(renewals).toBe(1);
  for (const each of [page, tab]) {
    await each.getByText("No. 2").waitFor();
    expect(await each.getByText("You have been signed out").count()).toBe(0);
  }
  await shop.callAsAdmin("POST", `/flash-sales/${id}/restock`, { quantity: 1 });
  await Promise.all([waitForStage(page, "admitted"), waitForStage(tab, "admitted")]);
});
