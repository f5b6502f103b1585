// A provider that refuses the shop's key, as an admin sees it: the server's own report, on the list of sales and on a board.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { checkPage } from "./checkPage";
import { startTestShop } from "./testShop";

/** Answers as Stripe does to a revoked key, until the key is good: then it has nothing to list. */
let isRevoked = true;
const stripe = createServer((_, response) => {
  const error = {
    type: "invalid_request_error",
    code: "api_key_expired",
    message: "Expired API Key provided",
  };
  response.writeHead(isRevoked ? 401 : 200, { "content-type": "application/json" });
  response.end(JSON.stringify(isRevoked ? { error } : { object: "list", has_more: false, data: [] }));
});
await new Promise<void>((resolve) => stripe.listen(0, "127.0.0.1", resolve));
const folder = mkdtempSync(join(tmpdir(), "doorbuster-keys-"));
const secret = (name: string, text: string) => {
  const file = join(folder, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
};

const shop = startTestShop(
  "--payments=stripe",
  `--stripe-api=http://127.0.0.1:${(stripe.address() as AddressInfo).port}`,
  `--stripe-key-file=${secret("key", "rk_test_journey")}`,
  `--stripe-webhook-secret-file=${secret("webhook", "whsec_journey")}`,
  "--public-url=https://shop.example",
);

afterAll(() => {
  stripe.closeAllConnections();
  stripe.close();
  rmSync(folder, { recursive: true, force: true });
});

test("a revoked key is named on the list of sales and on the board until the server has a good one", async () => {
  const { id } = await shop.createSale({ slug: "lamp" });
  const page = await shop.openAdminPage("/admin");
  const notice = page.locator("[data-provider-failure=stripe]");
  await notice.getByText("does not know the shop's key").waitFor();
  expect(await notice.getAttribute("data-failure-code")).toBe("provider_key_invalid");
  await checkPage(page, "admin-key-refused");
  await page.goto(`/admin/sales/${id}`);
  await notice.getByText("does not know the shop's key").waitFor();
  expect(await page.getByText("no money moves").count()).toBe(0);

  await shop.stopServer();
  isRevoked = false;
  await shop.startServer();
  // Until the provider's first answer the notice says that nothing is known yet.
  const healthy = page.waitForResponse((reply) => reply.url().endsWith("/health") && reply.ok());
  await page.reload();
  await healthy;
  await page.getByText("Stock: 10 units").waitFor();
  await notice.waitFor({ state: "detached" });
});
