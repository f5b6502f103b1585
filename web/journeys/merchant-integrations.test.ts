// The page Integrations: how each receiver is, setting one back after a confirmation, mails that cannot leave, and their switches.

import { expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { startTestShop } from "./testShop";

// Nobody listens at port 9: each mail waits for its next try.
const FLAGS = ["--public-url", "https://shop.example", "--smtp", "smtp://127.0.0.1:9"];
const shop = startTestShop(...FLAGS, "--mail-from", "shop@shop.example");

test("a merchant sees how receivers are, sets one back, and looks after mails", async () => {
  await shop.createSale({ slug: "lamp", quantity: 3 });
  await shop.registerBuyer("ann");

  const page = await shop.openAdminPage("/admin");
  await page.getByRole("link", { name: "Integrations" }).click();
  const receiver = (name: string) => page.locator(`[data-receiver=${name}]`);
  await receiver("projector").locator("[data-receiver-state=current]").waitFor();
  await receiver("kafka").locator("[data-receiver-state=off]").waitFor();
  await page.locator("[data-mail-state=waiting]").first().waitFor();
  await checkPage(page, "admin-integrations");

  await receiver("projector").getByRole("button", { name: "Show sales" }).click();
  await receiver("projector").getByRole("button", { name: "Set back … lamp" }).click();
  await checkPage(page, "admin-integrations-rewind");
  await page.getByRole("button", { name: "Set back", exact: true }).click();
  await page.getByText("lamp goes on after event 0.").waitFor();
  await receiver("projector").locator("[data-receiver-state=current]").waitFor();

  await page.getByLabel("Status").selectOption("sent");
  await page.getByText("No mail matches.").waitFor();
  await page.getByRole("button", { name: "Send all again" }).click();
  await page.getByText("0 mails are sent again.").waitFor();
  const missed = page.getByLabel("Turn missed");
  expect(await missed.isChecked()).toBe(true);
  await missed.click();
  await page.reload();
  await missed.waitFor();
  expect(await missed.isChecked()).toBe(false);

  for (const locale of ["ar", "de"]) {
    const other = await shop.openAdminPage("/admin/integrations", { locale });
    await other.locator("[data-receiver=projector]").waitFor();
    expect(await other.locator("html").getAttribute("dir")).toBe(locale === "ar" ? "rtl" : "ltr");
    await checkPage(other, `admin-integrations-${locale}`);
    await other.context().close();
  }
});
