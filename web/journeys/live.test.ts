// Live updates: the next in line, other tabs, the merchant's actions, and a socket that is cut. Each test has its own sale and its own
// buyers, so the tests run concurrently.

import type { BrowserContext, Page } from "playwright-core";
import { expect, test } from "vitest";
import { checkPage } from "./checkPage";
import {
  recordRequests,
  register,
  signIn,
  startTestShop,
  waitForLive,
  waitForOrder,
  waitForStage,
  waitUntil,
} from "./testShop";

const shop = startTestShop();

const LINE = { type: "fifo", perSecond: 50, checkoutSeconds: 120 };

/** A poll repeats its request; one that was on its way when the page became live is sent once. */
function expectNoPolls(paths: string[]): void {
  expect([...new Set(paths)]).toEqual(paths);
}

/** Registers a buyer, whose browser then shows the page of a sale. */
async function openSale(slug: string, username: string): Promise<{ browser: BrowserContext; page: Page }> {
  const browser = await shop.newBrowser();
  const page = await browser.newPage();
  await page.goto(`/register?to=%2Fs%2F${slug}`);
  await register(page, username);
  return { browser, page };
}

async function joinLine(slug: string, username: string) {
  const buyer = await openSale(slug, username);
  await buyer.page.getByRole("button", { name: "Join the line" }).click();
  await waitForStage(buyer.page, "waiting");
  return buyer;
}

test.concurrent("the next in line, in another browser, is admitted at once when a unit is released", async () => {
  await shop.createSale({ slug: "next", quantity: 1, admission: LINE });
  const first = await openSale("next", "first");
  await first.page.getByRole("button", { name: "Join the line" }).click();
  await first.page.getByRole("button", { name: "Take my unit" }).dblclick();
  await waitForOrder(first.page, "pending");
  expect(await shop.countOrders(first.page)).toBe(1);

  const browser = await shop.newBrowser();
  await browser.addInitScript(() => {
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (...times) {
      document.documentElement.dataset.notes = `${Number(document.documentElement.dataset.notes ?? 0) + 1}`;
      start.apply(this, times);
    };
  });
  const page = await browser.newPage();
  await page.goto("/register?to=%2Fs%2Fnext");
  await register(page, "second");
  await waitForStage(page, "line");
  await checkPage(page, "line");
  await page.getByRole("button", { name: "Join the line" }).click();
  await waitForStage(page, "waiting");
  await page.getByText("All units are in other carts right now").waitFor();
  await waitForLive(page);
  const paths = recordRequests(page);

  await first.page.getByRole("button", { name: "Give it back instead" }).click();
  await checkPage(first.page, "cancel-sure");
  await first.page.getByRole("button", { name: "Give it back", exact: true }).dblclick();
  await waitForOrder(first.page, "cancelled");
  await waitForStage(page, "admitted");
  expectNoPolls(paths.filter((path) => path.startsWith("GET /api/v1/queue")));
  expect(await page.title()).toContain("Your turn");
  expect(await page.locator("#buyer-panel").evaluate((heading) => heading === document.activeElement)).toBe(
    true,
  );
  expect(await page.locator("html").getAttribute("data-notes")).toBe("2");
});

test.concurrent("an expired hold goes to the next in line, and both pages show it", async () => {
  await shop.createSale({ slug: "runs-out", quantity: 1, holdSeconds: 10, admission: LINE });
  const first = await openSale("runs-out", "sleeper");
  await first.page.getByRole("button", { name: "Join the line" }).click();
  await waitForStage(first.page, "admitted");
  const next = await joinLine("runs-out", "waker");
  await first.page.getByRole("button", { name: "Take my unit" }).click();
  await waitForOrder(first.page, "expired");
  await waitForStage(next.page, "admitted");
  await next.page.getByRole("button", { name: "Take my unit" }).click();
  await waitForOrder(next.page, "pending");
});

test.concurrent("two tabs of one buyer show the same", async () => {
  const { id } = await shop.createSale({ slug: "tabs", quantity: 2, limitPerBuyer: 2, admission: LINE });
  const first = await shop.holdUnits(id, "greedy", { quantity: 2 });
  const { browser, page } = await joinLine("tabs", "tabby");
  const [sale, orders] = [await browser.newPage(), await browser.newPage()];
  await Promise.all([sale.goto("/s/tabs"), orders.goto("/orders")]);
  await waitForStage(sale, "waiting");
  const number = (tab: Page) => tab.getByText(/^No\. \d+$/).textContent();
  expect(await number(sale)).toBe(await number(page));
  await orders.getByRole("main").getByText("You are in line: position").waitFor();
  await checkPage(orders, "orders-in-line");
  await Promise.all([page, sale, orders].map(waitForLive));
  const paths = recordRequests(sale);

  await first.cancel();
  await Promise.all([waitForStage(page, "admitted"), waitForStage(sale, "admitted")]);
  await page.getByRole("button", { name: "Take my unit" }).dblclick();
  await waitForOrder(page, "pending");
  await waitForStage(sale, "held");
  await orders.getByText("Waiting for payment").waitFor();
  await page.getByRole("button", { name: "Pay €49.00" }).dblclick();
  await waitForOrder(page, "confirmed");
  await waitForStage(sale, "bought");
  await orders.getByText("Paid", { exact: true }).waitFor();
  expectNoPolls(paths.filter((path) => path.startsWith("GET /api/v1/queue")));

  await sale.getByRole("button", { name: "You may buy 1 more" }).click();
  await checkPage(sale, "bought-more");
  await sale.getByRole("button", { name: "Join the line" }).dblclick();
  await waitForStage(sale, "admitted");
  await sale.getByRole("button", { name: "Take my unit" }).dblclick();
  await waitForOrder(sale, "pending");
  await orders.getByText("Waiting for payment").waitFor();
  expect(await shop.countOrders(page)).toBe(2);
});

test.concurrent("the merchant's actions reach the page without polls: pause, resume, restock, another end", async () => {
  const { id } = await shop.createSale({ slug: "merchant", quantity: 1 });
  const page = await (await shop.newBrowser()).newPage();
  await page.goto("/s/merchant");
  await waitForStage(page, "open");
  await waitForLive(page);
  const paths = recordRequests(page);
  await shop.callAsAdmin("POST", `/flash-sales/${id}/pause`);
  await waitForStage(page, "paused");
  await shop.callAsAdmin("POST", `/flash-sales/${id}/resume`);
  await waitForStage(page, "open");
  const holder = await shop.holdUnits(id, "fast", { hasLine: false });
  await waitForStage(page, "all_held");
  await holder.pay();
  await waitForStage(page, "sold_out");
  await shop.callAsAdmin("POST", `/flash-sales/${id}/restock`, { quantity: 2 });
  await page.getByText("2 units left").waitFor();
  await page.getByText("There are 3 units.").waitFor();
  await shop.callAsAdmin("PATCH", `/flash-sales/${id}`, { endsAt: "2099-02-03T12:00:00Z" });
  await page.getByText(/It ends on .* 2099/).waitFor();
  await shop.callAsAdmin("POST", `/flash-sales/${id}/close`);
  await waitForStage(page, "over");
  expectNoPolls(paths);
});

test.concurrent("a page whose socket is cut every two seconds stays correct and steady", async () => {
  const { id } = await shop.createSale({ slug: "cut", quantity: 1, admission: LINE });
  const first = await shop.holdUnits(id, "wobble");
  const browser = await shop.newBrowser();
  let cuts = 0;
  await browser.routeWebSocket(/socket\.io/, (socket) => {
    socket.connectToServer();
    setTimeout(() => {
      cuts += 1;
      void socket.close();
    }, 2_000);
  });
  const page = await browser.newPage();
  await page.goto("/register?to=%2Fs%2Fcut");
  await register(page, "steadfast");
  await page.getByRole("button", { name: "Join the line" }).click();
  await waitForStage(page, "waiting");
  // Records the connection banner and the stage from now on.
  await page.evaluate(() => {
    const seen: string[] = [];
    const record = () => {
      const banner = document.querySelector("body [role=status]")?.textContent ?? "";
      const shown = document.querySelector<HTMLElement>("[data-stage]")?.dataset.stage ?? "nothing";
      const now = `${banner}${shown}`;
      if (seen.at(-1) !== now) seen.push(now);
      document.documentElement.dataset.seen = seen.join(" ");
    };
    record();
    new MutationObserver(record).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  const paths = recordRequests(page);
  await waitUntil(() => cuts >= 4, "four cuts");
  await first.cancel();
  await waitForStage(page, "admitted");
  expect(await page.locator("html").getAttribute("data-seen")).toBe("waiting admitted");
  expect(paths).not.toContain("POST /api/v1/auth/refresh");
});

test.concurrent("a buyer with fifty other tabs sees a notice, and the page stays correct", async () => {
  const { id } = await shop.createSale({ slug: "crowd", quantity: 1, admission: LINE });
  const first = await shop.holdUnits(id, "early");
  const { token } = await shop.registerBuyer("crowd");
  const sockets = await Promise.all(Array.from({ length: 50 }, () => shop.connectSocket(token)));
  const received = sockets.map(() => new Set<string>());
  sockets.forEach((socket, index) => {
    socket.on("queue:position-update", ({ ticket, status }) => received[index]?.add(`${ticket} ${status}`));
  });
  const page = await (await shop.newBrowser()).newPage();
  await page.goto("/sign-in?to=%2Fs%2Fcrowd");
  await signIn(page, "crowd");
  await page.getByText("The shop is open in very many tabs").waitFor();
  await checkPage(page, "crowded");
  await page.getByRole("button", { name: "Understood" }).click();
  await page.getByText("The shop is open in very many tabs").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Join the line" }).dblclick();
  await waitForStage(page, "waiting");
  await first.cancel();
  await waitForStage(page, "admitted");
  await waitUntil(() => received.every((one) => one.has("2 admitted")), "all tabs received the same turn");
  await page.getByRole("button", { name: "Take my unit" }).dblclick();
  await waitForOrder(page, "pending");
  expect(await shop.countOrders(page)).toBe(1);
  for (const socket of sockets) socket.disconnect();
});

test.concurrent("in every stage a reload shows the same", async () => {
  const sales = await Promise.all([
    shop.createSale({ slug: "again-soon", startsInS: 3_000 }),
    shop.createSale({ slug: "again-paused" }),
    shop.createSale({ slug: "again-closed" }),
    shop.createSale({ slug: "again-held", quantity: 1 }),
    shop.createSale({ slug: "again", quantity: 1, admission: LINE }),
  ]);
  const [, paused, closed, held, line] = sales.map(({ id }) => id) as [
    string,
    string,
    string,
    string,
    string,
  ];
  await shop.callAsAdmin("POST", `/flash-sales/${paused}/pause`);
  await shop.callAsAdmin("POST", `/flash-sales/${closed}/close`);
  await shop.holdUnits(held, "keeper", { hasLine: false });
  const first = await shop.holdUnits(line, "before");
  const { page } = await openSale("again", "reloader");
  const stays = async (kind: string) => {
    await waitForStage(page, kind);
    await page.reload();
    await waitForStage(page, kind);
  };
  await stays("line");
  await page.getByRole("button", { name: "Join the line" }).click();
  await stays("waiting");
  await page.getByText("No. 2").waitFor();
  await page.getByRole("button", { name: "Leave the line" }).click();
  await checkPage(page, "leave-sure");
  await page.getByRole("button", { name: "Stay in line" }).click();
  await first.cancel();
  await stays("admitted");
  await page.getByRole("button", { name: "Take my unit" }).click();
  await waitForOrder(page, "pending");
  await page.reload();
  await waitForOrder(page, "pending");
  await page.getByRole("button", { name: "Pay €49.00" }).click();
  await waitForOrder(page, "confirmed");
  await page.reload();
  await waitForOrder(page, "confirmed");
  await page.goto("/s/again");
  await stays("bought");
  for (const [slug, kind] of [
    ["again-soon", "upcoming"],
    ["again-paused", "paused"],
    ["again-closed", "over"],
    ["again-held", "all_held"],
  ] as const) {
    await page.goto(`/s/${slug}`);
    await stays(kind);
  }
});
