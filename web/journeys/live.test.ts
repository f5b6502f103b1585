// What is told, not asked for: the next in line, other tabs, the merchant's doings, and all of it over a socket that is cut.
// Each scene has its own sale and its own people, so they run beside each other.

import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { look } from "./look";
import { asked, order, register, Shop, signIn, stage, steady, until } from "./shop";

const shop = new Shop();
beforeAll(() => shop.open());
afterAll(() => shop.close());

const LINE = { type: "fifo", perSecond: 50, checkoutSeconds: 120 };

/** A new buyer on the page of a sale. */
async function buyer(slug: string, username: string): Promise<{ person: BrowserContext; page: Page }> {
  const person = await shop.person();
  const page = await person.newPage();
  await page.goto(`/register?to=%2Fs%2F${slug}`);
  await register(page, username);
  return { person, page };
}

async function waits(slug: string, username: string) {
  const who = await buyer(slug, username);
  await who.page.getByRole("button", { name: "Join the line" }).click();
  await stage(who.page, "waiting");
  return who;
}

test.concurrent("the next in line, in another browser, is called at once when a unit is given back", async () => {
  await shop.sale({ slug: "next", quantity: 1, admission: LINE });
  const first = await buyer("next", "first");
  await first.page.getByRole("button", { name: "Join the line" }).click();
  await first.page.getByRole("button", { name: "Take my unit" }).dblclick();
  await order(first.page, "pending");
  expect(await shop.ordersOf(first.page)).toBe(1);

  const person = await shop.person();
  await person.addInitScript(() => {
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (...times) {
      document.documentElement.dataset.notes = `${Number(document.documentElement.dataset.notes ?? 0) + 1}`;
      start.apply(this, times);
    };
  });
  const page = await person.newPage();
  await page.goto("/register?to=%2Fs%2Fnext");
  await register(page, "second");
  await stage(page, "line");
  await look(page, "line");
  await page.getByRole("button", { name: "Join the line" }).click();
  await stage(page, "waiting");
  await page.getByText("All units are in other carts right now").waitFor();
  await steady(page);
  const paths = asked(page);

  await first.page.getByRole("button", { name: "Give it back instead" }).click();
  await look(first.page, "cancel-sure");
  await first.page.getByRole("button", { name: "Give it back", exact: true }).dblclick();
  await order(first.page, "cancelled");
  await stage(page, "admitted");
  expect(paths.filter((path) => path.startsWith("GET /api/v1/queue"))).toEqual([]);
  expect(await page.title()).toContain("Your turn");
  expect(await page.locator("#buyer-panel").evaluate((heading) => heading === document.activeElement)).toBe(
    true,
  );
  expect(await page.locator("html").getAttribute("data-notes")).toBe("2");
});

test.concurrent("a hold that runs out goes to the next, and both are told", async () => {
  await shop.sale({ slug: "runs-out", quantity: 1, holdSeconds: 6, admission: LINE });
  const first = await buyer("runs-out", "sleeper");
  await first.page.getByRole("button", { name: "Join the line" }).click();
  await stage(first.page, "admitted");
  const next = await waits("runs-out", "waker");
  await first.page.getByRole("button", { name: "Take my unit" }).click();
  await order(first.page, "expired");
  await stage(next.page, "admitted");
  await next.page.getByRole("button", { name: "Take my unit" }).click();
  await order(next.page, "pending");
});

test.concurrent("two tabs of one buyer agree: what is done in one is seen in the other", async () => {
  const { id } = await shop.sale({ slug: "tabs", quantity: 2, limitPerBuyer: 2, admission: LINE });
  const first = await shop.holder(id, "greedy", { quantity: 2 });
  const { person, page } = await waits("tabs", "tabby");
  const [sale, orders] = [await person.newPage(), await person.newPage()];
  await Promise.all([sale.goto("/s/tabs"), orders.goto("/orders")]);
  await stage(sale, "waiting");
  const number = (tab: Page) => tab.getByText(/^No\. \d+$/).textContent();
  expect(await number(sale)).toBe(await number(page));
  await orders.getByText("You have not ordered anything yet.").waitFor();
  await look(orders, "orders-none");
  await Promise.all([page, sale, orders].map(steady));
  const paths = asked(sale);

  await first.cancel();
  await Promise.all([stage(page, "admitted"), stage(sale, "admitted")]);
  await page.getByRole("button", { name: "Take my unit" }).dblclick();
  await order(page, "pending");
  await stage(sale, "held");
  await orders.getByText("Waiting for payment").waitFor();
  await page.getByRole("button", { name: "Pay €49.00" }).dblclick();
  await order(page, "confirmed");
  await stage(sale, "bought");
  await orders.getByText("Paid", { exact: true }).waitFor();
  expect(paths.filter((path) => path.startsWith("GET /api/v1/queue"))).toEqual([]);

  await sale.getByRole("button", { name: "You may buy 1 more" }).click();
  await look(sale, "bought-more");
  await sale.getByRole("button", { name: "Join the line" }).dblclick();
  await stage(sale, "admitted");
  await sale.getByRole("button", { name: "Take my unit" }).dblclick();
  await order(sale, "pending");
  await orders.getByText("Waiting for payment").waitFor();
  expect(await shop.ordersOf(page)).toBe(2);
});

test.concurrent("what the merchant does is seen without asking: pause, resume, more units, another end", async () => {
  const { id } = await shop.sale({ slug: "merchant", quantity: 1 });
  const page = await (await shop.person()).newPage();
  await page.goto("/s/merchant");
  await stage(page, "open");
  await steady(page);
  const paths = asked(page);
  await shop.asAdmin("POST", `/flash-sales/${id}/pause`);
  await stage(page, "paused");
  await shop.asAdmin("POST", `/flash-sales/${id}/resume`);
  await stage(page, "open");
  const holder = await shop.holder(id, "fast", { hasLine: false });
  await stage(page, "all_held");
  await holder.pay();
  await stage(page, "sold_out");
  await shop.asAdmin("POST", `/flash-sales/${id}/restock`, { quantity: 2 });
  await page.getByText("2 units left").waitFor();
  await page.getByText("There are 3 units.").waitFor();
  await shop.asAdmin("PATCH", `/flash-sales/${id}`, { endsAt: "2099-02-03T12:00:00Z" });
  await page.getByText(/It ends on .* 2099/).waitFor();
  await shop.asAdmin("POST", `/flash-sales/${id}/close`);
  await stage(page, "over");
  expect(paths).toEqual([]);
});

test.concurrent("over a socket that is cut every two seconds a page stays true, and calm", async () => {
  const { id } = await shop.sale({ slug: "cut", quantity: 1, admission: LINE });
  const first = await shop.holder(id, "wobble");
  const person = await shop.person();
  let cuts = 0;
  await person.routeWebSocket(/socket\.io/, (socket) => {
    socket.connectToServer();
    setTimeout(() => {
      cuts += 1;
      void socket.close();
    }, 2_000);
  });
  const page = await person.newPage();
  await page.goto("/register?to=%2Fs%2Fcut");
  await register(page, "steadfast");
  await page.getByRole("button", { name: "Join the line" }).click();
  await stage(page, "waiting");
  // All that is said at the top of the page, and all that the ticket shows, from now on.
  await page.evaluate(() => {
    const seen: string[] = [];
    const note = () => {
      const said = document.querySelector("body [role=status]")?.textContent ?? "";
      const shown = document.querySelector<HTMLElement>("[data-stage]")?.dataset.stage ?? "nothing";
      const now = `${said}${shown}`;
      if (seen.at(-1) !== now) seen.push(now);
      document.documentElement.dataset.seen = seen.join(" ");
    };
    note();
    new MutationObserver(note).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  const paths = asked(page);
  await until(() => cuts >= 4, "four cuts");
  await first.cancel();
  await stage(page, "admitted");
  expect(await page.locator("html").getAttribute("data-seen")).toBe("waiting admitted");
  expect(paths).not.toContain("POST /api/v1/auth/refresh");
});

test.concurrent("a buyer with fifty other tabs is told kindly, and the page stays true", async () => {
  const { id } = await shop.sale({ slug: "crowd", quantity: 1, admission: LINE });
  const first = await shop.holder(id, "early");
  const { token } = await shop.stranger("crowd");
  const sockets = await Promise.all(Array.from({ length: 50 }, () => shop.socket(token)));
  const told = sockets.map(() => new Set<string>());
  sockets.forEach((socket, index) => {
    socket.on("queue:position-update", ({ ticket, status }) => told[index]?.add(`${ticket} ${status}`));
  });
  const page = await (await shop.person()).newPage();
  await page.goto("/sign-in?to=%2Fs%2Fcrowd");
  await signIn(page, "crowd");
  await page.getByText("The shop is open in very many tabs").waitFor();
  await look(page, "crowded");
  await page.getByRole("button", { name: "Understood" }).click();
  await page.getByText("The shop is open in very many tabs").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Join the line" }).dblclick();
  await stage(page, "waiting");
  await first.cancel();
  await stage(page, "admitted");
  await until(() => told.every((one) => one.has("2 admitted")), "all tabs are told of the same turn");
  await page.getByRole("button", { name: "Take my unit" }).dblclick();
  await order(page, "pending");
  expect(await shop.ordersOf(page)).toBe(1);
  for (const socket of sockets) socket.disconnect();
});

test.concurrent("whatever is shown, loading the page again shows the same", async () => {
  const sales = await Promise.all([
    shop.sale({ slug: "again-soon", startsInS: 3_000 }),
    shop.sale({ slug: "again-paused" }),
    shop.sale({ slug: "again-closed" }),
    shop.sale({ slug: "again-held", quantity: 1 }),
    shop.sale({ slug: "again", quantity: 1, admission: LINE }),
  ]);
  const [, paused, closed, held, line] = sales.map(({ id }) => id) as [
    string,
    string,
    string,
    string,
    string,
  ];
  await shop.asAdmin("POST", `/flash-sales/${paused}/pause`);
  await shop.asAdmin("POST", `/flash-sales/${closed}/close`);
  await shop.holder(held, "keeper", { hasLine: false });
  const first = await shop.holder(line, "before");
  const { page } = await buyer("again", "reloader");
  const stays = async (kind: string) => {
    await stage(page, kind);
    await page.reload();
    await stage(page, kind);
  };
  await stays("line");
  await page.getByRole("button", { name: "Join the line" }).click();
  await stays("waiting");
  await page.getByText("No. 2").waitFor();
  await page.getByRole("button", { name: "Leave the line" }).click();
  await look(page, "leave-sure");
  await page.getByRole("button", { name: "Stay in line" }).click();
  await first.cancel();
  await stays("admitted");
  await page.getByRole("button", { name: "Take my unit" }).click();
  await order(page, "pending");
  await page.reload();
  await order(page, "pending");
  await page.getByRole("button", { name: "Pay €49.00" }).click();
  await order(page, "confirmed");
  await page.reload();
  await order(page, "confirmed");
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
