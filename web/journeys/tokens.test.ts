// Access tokens that last a few seconds.

import { afterAll, beforeAll, expect, test } from "vitest";
import { register, Shop, stage, steady, until } from "./shop";

const LINE = { type: "fifo", perSecond: 50, checkoutSeconds: 120 };

const shop = new Shop("--token-ttl", "12s");
beforeAll(() => shop.open());
afterAll(() => shop.close());

test("one that runs out in mid-line is renewed once for all tabs, and the place is kept", async () => {
  const { id } = await shop.sale({ slug: "token", quantity: 1, holdSeconds: 30, admission: LINE });
  await shop.holder(id, "ahead");
  const person = await shop.person();
  const page = await person.newPage();
  await page.goto("/register?to=%2Fs%2Ftoken");
  await register(page, "renewed");
  await page.getByRole("button", { name: "Join the line" }).click();
  await page.getByText("No. 2").waitFor();
  const tab = await person.newPage();
  await tab.goto("/s/token");
  await Promise.all([steady(page), steady(tab)]);
  let renewals = 0;
  person.on("response", (response) => {
    if (response.url().endsWith("/auth/refresh") && response.ok()) renewals += 1;
  });
  await until(() => renewals === 1, "the token is renewed");
  await Promise.all([steady(page), steady(tab)]);
  expect(renewals).toBe(1);
  for (const each of [page, tab]) {
    await each.getByText("No. 2").waitFor();
    expect(await each.getByText("You have been signed out").count()).toBe(0);
  }
  await Promise.all([stage(page, "admitted"), stage(tab, "admitted")]);
});
