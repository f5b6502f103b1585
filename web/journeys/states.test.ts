// What the pages say in states that take minutes to reach, or that a buyer sees for a moment only. The server is staged (stagedShop.ts).

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { checkPage } from "./checkPage";
import {
  at,
  enlargeText,
  findCutText,
  LINE,
  NOW,
  openStagedShop,
  order,
  place,
  problem,
  type Stage,
  sale,
  stage,
} from "./stagedShop";

const shop = openStagedShop();

const OPEN = { type: "open" };
const FREE = { amount: 0, currency: "EUR" };
const DEAR = { amount: 129_999_900, currency: "USD" };
const LONG_NAME = "Donaudampfschifffahrtsgesellschaftskapitänsmütze in Übergröße";
const ADMITTED = { status: "admitted", position: 0, ahead: 0, admittedUntil: at(100) };
const product = (name: string) => ({ id: "p", name, description: "", imageUrl: null });
const pagePath = (id: unknown) => `/orders/${id}`;

async function open(
  state: Stage,
  path: string,
  options: Parameters<typeof shop.newPage>[1] = {},
): Promise<Page> {
  const page = await shop.newPage(state, options);
  await page.goto(path);
  await page.locator("main h1, main h2").first().waitFor();
  return page;
}

/** The text that is visible in a part of the page, on one line. */
async function text(page: Page, part = "main"): Promise<string> {
  // biome-ignore lint/performance/useDomNodeTextContent: only what is visible counts
  return (await page.locator(part).innerText()).replace(/\s+/g, " ");
}

test("while the bank has the payment, nothing is offered to be tried again, and nothing is called expired", async () => {
  const paying = order({ paying: true, expiresAt: at(-2) });
  const state = stage({ orders: [paying] });
  const page = await open(state, pagePath(paying.id));
  await page.getByRole("heading", { name: "We are waiting for your bank" }).waitFor();
  await page.getByText("Your unit stays yours meanwhile.").waitFor();
  expect(await page.getByRole("main").getByRole("button").count()).toBe(0);
  expect(await text(page)).not.toMatch(/try again|give it back|ran out|0:00/i);
  await checkPage(page, "paying");
  state.orders = [order({ status: "confirmed", expiresAt: null })];
  await page.getByRole("heading", { name: "Thank you, it is yours" }).waitFor();

  const list = await open(stage({ orders: [paying] }), "/orders");
  await list.getByRole("main").getByText("Waiting for your bank").waitFor();
  const panel = await open(stage({ orders: [paying] }), "/s/lamp");
  await panel.locator('[data-stage="paying"]').getByRole("link", { name: "See your order" }).waitFor();
  expect(await panel.getByRole("main").getByRole("button").count()).toBe(0);
});

test("a click on pay takes away the form and the way back until the bank has answered", async () => {
  const held = order();
  const state = stage({ orders: [held] });
  let answer = () => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  state.replies[`POST ${pagePath(held.id)}/pay`] = async () => {
    await answered;
    return problem(402, "payment_declined");
  };
  const page = await open(state, pagePath(held.id));
  await page.getByRole("button", { name: "Give it back instead" }).waitFor();
  await page.getByLabel("Test card that is declined").check();
  await page.getByRole("button", { name: "Pay €49.00" }).click();
  await page.getByRole("heading", { name: "We are waiting for your bank" }).waitFor();
  expect(await page.getByRole("main").getByRole("button").count()).toBe(0);
  answer();
  const notice = page.getByRole("alert").filter({ hasText: "declined" });
  await notice.waitFor();
  expect(await notice.textContent()).toBe(
    "The payment was declined, and you were not charged. Your unit is still yours until 12:49; try another card.",
  );
  await page.getByRole("button", { name: "Pay €49.00" }).waitFor();
  await page.getByRole("button", { name: "Give it back instead" }).waitFor();
  await checkPage(page, "declined");
});

test("a place ends with its reason: a missed turn with its time, a line that is over, and why", async () => {
  const state = stage({ places: [place({ status: "lapsed", position: 0, ahead: 0, lapsedAt: at(120) })] });
  const page = await open(state, "/s/lamp");
  await page.getByText("Your turn passed at 12:47. Join again?").waitFor();
  await page.getByRole("button", { name: "Join the line" }).waitFor();
  await checkPage(page, "lapsed");
  for (const [status, reason, words] of [
    ["ended", "ended", "It ended on Saturday 14 March 2026"],
    ["closed", "closed", "The shop has closed it."],
    ["active", "deleted", "The shop has taken it out."],
  ] as const) {
    const over = stage({
      sales: [sale({ status, endsAt: at(-1) })],
      places: [place({ status: "over", reason, position: 0, ahead: 0, estimatedWaitSeconds: null })],
    });
    const ended = await open(over, "/s/lamp");
    await ended.locator('[data-stage="over"]').waitFor();
    expect((await text(ended)).replace(",", "")).toContain(words);
    await ended.getByText("Your place in line ended with it.").waitFor();
    expect(await ended.locator("[data-bar]").count()).toBe(0);
    if (reason === "closed") await checkPage(ended, "line-over");
  }
});

test("an estimate stands only where units can reach the place", async () => {
  const beyond = place({ position: 31, ahead: 30, unitsLeft: 3, estimatedWaitSeconds: null });
  const page = await open(stage({ places: [beyond] }), "/s/lamp");
  await page.getByText("More people than units are ahead of you (3 units are left).").waitFor();
  await page.getByText("not known now").waitFor();
  expect(await text(page)).not.toMatch(/about \d/);
  await checkPage(page, "beyond-stock");
  const soldOut = sale({ availability: "sold_out", available: 0, held: 0, sold: 10 });
  const none = await open(stage({ sales: [soldOut], places: [place({ unitsLeft: 0 })] }), "/s/lamp");
  await none.getByRole("heading", { name: "Sold out" }).waitFor();
  expect(await none.getByRole("heading", { name: "You are in line" }).count()).toBe(0);
});

test("in a pause the time of a turn stands still", async () => {
  const turn = place({ status: "admitted", position: 0, ahead: 0, remainingSeconds: 73 });
  const page = await open(stage({ sales: [sale({ status: "paused" })], places: [turn] }), "/s/lamp");
  await page.getByText("your time stands still").waitFor();
  const timer = page.getByRole("timer");
  expect(await timer.textContent()).toBe("1:13");
  await page.waitForTimeout(2_100);
  expect(await timer.textContent()).toBe("1:13");
  await checkPage(page, "turn-paused");
});

test("a buyer who asks for two when one is set aside is told to take one", async () => {
  const state = stage({
    sales: [sale({ limitPerBuyer: 2, available: 1 })],
    places: [place(ADMITTED)],
    replies: { "POST /orders": problem(409, "all_held") },
  });
  const page = await open(state, "/s/lamp");
  await page.getByLabel("How many").selectOption("2");
  await page.getByRole("button", { name: "Take my unit €98.00" }).click();
  await page.getByText("One is set aside for you: take one.").waitFor();
  expect(await text(page)).not.toContain("All units are in other carts");
  const taken = order();
  state.orders = [taken];
  state.replies["POST /orders"] = { status: 201, body: taken };
  await page.getByRole("button", { name: "Take one" }).click();
  await page.locator('[data-order="pending"]').waitFor();

  const some = stage({
    sales: [sale({ limitPerBuyer: 3, available: 3, admission: OPEN })],
    replies: { "POST /orders": problem(409, "fewer_left", { orderable: 2, setAside: 0 }) },
  });
  const other = await open(some, "/s/lamp");
  await other.getByLabel("How many").selectOption("3");
  await other.getByRole("button", { name: "Buy now €147.00" }).click();
  await other.getByText("Only 2 units can be had right now.").waitFor();
  await other.getByRole("button", { name: "Take 2" }).waitFor();

  const noneFree = stage({ sales: [sale({ limitPerBuyer: 2, available: 0 })], places: [place(ADMITTED)] });
  const single = await open(noneFree, "/s/lamp");
  await single.getByRole("button", { name: "Take my unit €49.00" }).waitFor();
  expect(await single.getByLabel("How many").count()).toBe(0);
});

test("what is paid on collection is reserved, and what is free is got: neither is called paid", async () => {
  const collected = sale({ admission: OPEN, payment: "none", holdSeconds: 0 });
  const page = await open(stage({ sales: [collected] }), "/s/lamp");
  await page.getByRole("button", { name: "Reserve €49.00" }).waitFor();
  await page.getByText("You pay when you collect it.", { exact: true }).waitFor();
  expect(await text(page)).not.toMatch(/while you pay|card|paid/);
  await checkPage(page, "collected");
  const reserved = order({ status: "confirmed", paymentRequired: false, expiresAt: null });
  const done = await open(stage({ sales: [collected], orders: [reserved] }), pagePath(reserved.id));
  await done.getByRole("heading", { name: "Order confirmed, to be paid on collection" }).waitFor();
  expect(await text(done)).not.toMatch(/payment has arrived|\bPaid\b/);
  await checkPage(done, "order-collected");

  const free = order({ unitPrice: FREE, total: FREE });
  const state = stage({ sales: [sale({ admission: OPEN, price: FREE })], orders: [free] });
  const pays: unknown[] = [];
  state.replies[`POST ${pagePath(free.id)}/pay`] = () => {
    state.orders = [{ ...free, status: "confirmed" }];
    return { status: 200, body: state.orders[0] ?? {} };
  };
  const payPage = await open(state, pagePath(free.id));
  payPage.on("request", (request) => request.url().endsWith("/pay") && pays.push(request.postDataJSON()));
  expect(await text(payPage)).not.toMatch(/card|€/i);
  await checkPage(payPage, "order-free");
  await payPage.getByRole("button", { name: "Get it free" }).click();
  await payPage.locator('[data-order="confirmed"]').waitFor();
  expect(pays).toEqual([{}]);
  expect(await text(payPage)).not.toMatch(/payment has arrived|\bPaid\b|€/);
});

test("no timer has a figure before the server's time is known, whatever the clock of the device", async () => {
  const record = () => {
    const seen: string[] = [];
    new MutationObserver(() => {
      for (const timer of document.querySelectorAll("[role=timer]")) seen.push(timer.textContent ?? "");
      document.documentElement.dataset.seen = [...new Set(seen)].join("|");
    }).observe(document, { subtree: true, childList: true, characterData: true });
  };
  const figures = async (page: Page) => {
    await page.getByRole("timer").filter({ hasText: /\d/ }).waitFor();
    const seen = ((await page.locator("html").getAttribute("data-seen")) ?? "").split("|");
    return seen.filter((figure) => /\d/.test(figure));
  };
  const admitted = await shop.newPage(stage({ places: [place(ADMITTED)] }), { script: record });
  await admitted.goto("/s/lamp");
  for (const figure of await figures(admitted)) expect(figure).toMatch(/^1:([0-3]\d|40)$/);

  // An order has no time of the server in it. Until another reply brings it, there is no figure.
  const held = order();
  const state = stage({ orders: [held] });
  let send = () => {};
  const sent = new Promise<void>((resolve) => {
    send = resolve;
  });
  state.replies["GET /flash-sales/s"] = async () => {
    await sent;
    return { status: 200, body: { ...sale(), serverTime: undefined } };
  };
  const page = await shop.newPage(state, { script: record });
  await page.goto(pagePath(held.id));
  await page.getByRole("timer").waitFor();
  await page.waitForTimeout(1_200);
  expect(await page.getByRole("timer").textContent()).toBe("–");
  send();
  for (const figure of await figures(page)) expect(figure).toMatch(/^(4:00|3:[345]\d)$/);

  const later = sale({ id: "t", slug: "later", status: "upcoming", startsAt: at(500) });
  const list = await shop.newPage(stage({ sales: [later] }));
  await list.goto("/");
  await list.getByText(/^Starts in (8:[12]\d|7:\d\d)$/).waitFor();
});

test("joining keeps start, countdown, price and units; days are named, and the time zone too", async () => {
  const admission = { ...LINE, lineOpensSecondsBefore: 500_000 };
  const startsAt = at(3 * 86_400 + 59 * 60 + 30);
  const soon = sale({
    status: "upcoming",
    startsAt,
    endsAt: at(500_000),
    sold: 0,
    held: 0,
    available: 10,
    admission,
  });
  const state = stage({ sales: [soon] });
  state.replies["POST /queue/join"] = () => {
    state.places = [place({ unitsLeft: 10 })];
    return { status: 200, body: state.places[0] ?? {} };
  };
  const page = await open(state, "/s/lamp");
  const panel = page.locator("[data-stage]");
  const hasTerms = async () => {
    await panel.getByRole("timer").filter({ hasText: "3 days 0:59" }).waitFor();
    const shown = await text(page, "[data-stage]");
    expect(shown).toMatch(/Tuesday,? 17 March 2026 at 13:44 CET/);
    expect(shown).toContain("€49.00 10 units left");
  };
  await hasTerms();
  expect(await text(page, "[data-stage] button")).toBe("Join the line €49.00 · 10 units left");
  await page.getByRole("button", { name: "Join the line" }).click();
  await page.locator('[data-stage="waiting"]').waitFor();
  await hasTerms();
  await checkPage(page, "joined-upcoming");
});

test("a bar on every page leads to what is under way, and is not on the page that it leads to", async () => {
  const other = sale({ id: "t", slug: "other", product: product("Second lamp") });
  const held = order({ flashSaleId: "v", product: product("Third lamp") });
  const state = stage({
    sales: [sale(), other, sale({ id: "v", slug: "third", product: product("Third lamp") })],
    places: [place(ADMITTED), place({ flashSaleId: "t" })],
    orders: [held],
  });
  const page = await shop.newPage(state);
  const bar = page.locator("[data-bar]");
  const kinds = () =>
    bar
      .locator("[data-activity]")
      .evaluateAll((rows) => rows.map((row) => row.getAttribute("data-activity")));
  for (const path of ["/", "/orders", "/account", "/nowhere"]) {
    await page.goto(path);
    await bar.locator('[data-activity="waiting"]').waitFor();
    expect(await kinds(), path).toEqual(["admitted", "held", "waiting"]);
    expect(await page.title()).toMatch(/^● Your turn · /);
  }
  await page.goto("/");
  await checkPage(page, "bar");
  await bar.getByRole("link", { name: /It is your turn Aurora desk lamp 1:\d\d/ }).click();
  await page.locator('[data-stage="admitted"]').waitFor();
  expect(await kinds()).toEqual(["held", "waiting"]);
  await bar.getByRole("link", { name: /Held for you: pay now Third lamp 3:\d\d/ }).click();
  await page.locator('[data-order="pending"]').waitFor();
  expect(await kinds()).toEqual(["admitted", "waiting"]);
  await page.goto("/orders");
  await page.getByRole("main").getByRole("link", { name: "Second lamp" }).waitFor();
  await page.getByRole("main").getByText("You are in line: position 5").waitFor();
  expect(await text(page)).not.toContain("not ordered anything yet");
  await checkPage(page, "orders-under-way");
  state.orders = [];
  state.places = [];
  await bar.waitFor({ state: "detached" });
  expect(await page.title()).toBe("Your orders · Doorbuster");
});

/** Counts notes, requests for permission, notifications and wake locks, in the attributes of the page. */
const spy = () => {
  const count = (name: string) => {
    document.documentElement.dataset[name] = `${Number(document.documentElement.dataset[name] ?? 0) + 1}`;
  };
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...times) {
    count("notes");
    start.apply(this, times);
  };
  class FakeNotification {
    static permission = "default";
    static async requestPermission() {
      count("asked");
      FakeNotification.permission = "granted";
      return "granted";
    }
    constructor(title: string) {
      count("notified");
      document.documentElement.dataset.notification = title;
    }
    close() {}
  }
  Object.assign(window, { Notification: FakeNotification });
  const wakeLock = {
    async request() {
      count("locked");
      return { released: false, release: async () => count("unlocked") };
    },
  };
  Object.defineProperty(Navigator.prototype, "wakeLock", { configurable: true, get: () => wakeLock });
};

test("a turn is announced by sound and notification on any page; asked for when joining, never before", async () => {
  const state = stage();
  state.replies["POST /queue/join"] = () => {
    state.places = [place()];
    return { status: 200, body: state.places[0] ?? {} };
  };
  const page = await open(state, "/s/lamp", { script: spy });
  const seen = (name: string) => page.locator("html").getAttribute(`data-${name}`);
  await page.getByRole("heading", { name: "The line is open" }).click();
  expect([await seen("asked"), await seen("locked")]).toEqual([null, null]);
  await page.getByRole("button", { name: "Join the line" }).click();
  await page.locator('[data-stage="waiting"]').waitFor();
  await page.waitForFunction(() => document.documentElement.dataset.locked === "1");
  expect(await seen("asked")).toBe("1");
  await page.getByText("You will get a notification as well.").waitFor();
  await page.getByRole("link", { name: "Your orders" }).click();
  await page.getByRole("heading", { name: "Your orders" }).waitFor();
  await page.evaluate(() => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => "hidden" });
  });
  state.places = [place(ADMITTED)];
  await page.locator('[data-bar] [data-activity="admitted"]').waitFor();
  await page.waitForFunction(() => document.documentElement.dataset.notified === "1");
  expect(await seen("notes")).toBe("2");
  expect(await seen("notification")).toContain("It is your turn");
  expect(await page.title()).toMatch(/^● Your turn/);
  state.places = [];
  await page.locator("[data-bar]").waitFor({ state: "detached" });
  await page.waitForFunction(() => document.documentElement.dataset.unlocked === "1");
});

test("a muted turn makes no sound, also after a reload", async () => {
  const state = stage({ places: [place()] });
  const page = await open(state, "/s/lamp", { script: spy });
  await page.getByRole("button", { name: "Sound: on" }).click();
  await page.reload();
  await page.getByRole("button", { name: "Sound: off" }).waitFor();
  await page.getByRole("heading", { name: "You are in line" }).click();
  state.places = [place(ADMITTED)];
  await page.locator('[data-stage="admitted"]').waitFor();
  await page.waitForFunction(() => document.title.startsWith("● Your turn"));
  expect(await page.locator("html").getAttribute("data-notes")).toBeNull();
});

test("an error that no field claims is shown for the form, in every form", async () => {
  const errors = (...pointers: string[]) =>
    problem(422, "invalid_body", { errors: pointers.map((pointer) => ({ pointer, detail: "is odd" })) });
  const state = stage({ sales: [sale({ admission: OPEN })] });
  const guest = await open(state, "/sign-in", { isSignedIn: false });
  state.replies["POST /auth/login"] = errors("/username");
  await guest.getByLabel("E-mail or username").fill("a b");
  await guest.getByLabel("Password").fill("x");
  await guest.getByRole("button", { name: "Sign in", exact: true }).click();
  await guest.getByText("Please give your e-mail address or username.").waitFor();
  await checkPage(guest, "sign-in-malformed");
  state.replies["POST /auth/login"] = errors("/device", "");
  await guest.getByRole("button", { name: "Sign in", exact: true }).click();
  await guest.getByText("The shop does not accept this: device is odd; is odd").waitFor();
  await guest.goto("/register");
  state.replies["POST /auth/register"] = errors("/password", "/invitation");
  await guest.getByLabel("Password").fill("password1");
  await guest.getByRole("button", { name: "Create account" }).click();
  await guest.getByText("Many people use this password").waitFor();
  await guest.getByText("invitation is odd").waitFor();
  const buyer = await open(state, "/s/lamp");
  state.replies["POST /orders"] = errors("/quantity");
  await buyer.getByRole("button", { name: "Buy now" }).click();
  await buyer.getByText("quantity is odd").waitFor();
});

test("the account page changes the password once, and signs out everywhere", async () => {
  const state = stage();
  let tries = 0;
  state.replies["POST /auth/password"] = () => {
    tries += 1;
    return problem(401, "bad_credentials");
  };
  const page = await open(state, "/account");
  await checkPage(page, "account");
  await page.getByLabel("Current password").fill("wrong");
  await page.getByLabel("New password").fill("a new long password");
  await page.getByRole("button", { name: "Change the password" }).click();
  await page.getByText("This is not your current password.").waitFor();
  expect(tries).toBe(1);
  const user = { id: "u", username: "ada", email: "ada@example.com", role: "user" };
  const pair = { accessToken: "next", refreshToken: "next", expiresIn: 900, user };
  state.replies["POST /auth/password"] = { status: 200, body: pair };
  await page.getByRole("button", { name: "Change the password" }).click();
  await page.getByText("Your password is changed").waitFor();
  expect(await page.getByLabel("New password").inputValue()).toBe("");
  expect(await page.evaluate(() => localStorage.getItem("doorbuster.session"))).toContain("next");
  state.replies["POST /auth/sign-out-everywhere"] = { status: 204 };
  await page.getByRole("button", { name: "Sign out everywhere" }).click();
  await page.getByRole("button", { name: "Sign out everywhere" }).click();
  await page.getByRole("heading", { name: "Please sign in" }).waitFor();
  expect(await page.evaluate(() => localStorage.getItem("doorbuster.session"))).toBeNull();
});

test("wrong links have a way out: a sale, an order, an id that is none, and admin pages", async () => {
  const page = await open(stage(), "/s/nothing");
  await page.getByRole("heading", { name: "There is no such sale" }).waitFor();
  expect(await page.getByRole("button", { name: "Try again" }).count()).toBe(0);
  await checkPage(page, "lost-sale");
  await page.getByRole("link", { name: "See all sales" }).click();
  await page.getByRole("heading", { name: "Running now" }).waitFor();
  for (const [id, reply] of [
    ["0000", problem(404, "order_unknown")],
    ["not-a-uuid", problem(404, "not_found")],
    ["odd", problem(422, "invalid_query")],
  ] as const) {
    const lost = await open(stage({ replies: { [`GET /orders/${id}`]: reply } }), `/orders/${id}`);
    await lost.getByRole("heading", { name: "There is no such order of yours" }).waitFor();
    await lost.getByRole("main").getByRole("link", { name: "Your orders" }).waitFor();
  }
  for (const path of [
    "/admin/nowhere",
    "/admin/sales/nothing",
    "/admin/products/nothing",
    "/admin/sales/nothing/edit",
  ]) {
    const lost = await open(stage(), path, { isAdmin: true });
    await lost.locator('[data-page="not-found"]').getByRole("link", { name: "All sales" }).waitFor();
  }
  const sales = await shop.newPage(stage(), { isAdmin: true });
  await sales.goto("/admin/sales");
  await sales.waitForURL("**/admin");
});

test("an address with an old name of a sale becomes the current one", async () => {
  const state = stage({ replies: { "GET /flash-sales/old-lamp": { status: 200, body: sale() } } });
  const page = await shop.newPage(state);
  await page.goto("/s/old-lamp");
  await page.waitForURL("**/s/lamp");
  await page.locator("[data-stage]").waitFor();
});

test("nothing is cut off or overlaps at 320 px with twice the text, long names and long prices", async () => {
  const admission = { ...LINE, lineOpensSecondsBefore: 500_000 };
  const dear = { product: product(LONG_NAME), price: DEAR, listPrice: { ...DEAR, amount: 259_999_900 } };
  const startsAt = at(3 * 86_400 + 3_540);
  const upcoming = sale({ ...dear, status: "upcoming", startsAt, endsAt: at(500_000), admission });
  const held = order({ product: product(LONG_NAME), unitPrice: DEAR, total: DEAR });
  const states: [string, Stage][] = [
    ["/s/lamp", stage({ sales: [sale(dear)], places: [place(ADMITTED)] })],
    ["/s/lamp", stage({ sales: [upcoming], places: [place({ position: 12_345, ahead: 12_344 })] })],
    ["/s/lamp", stage({ sales: [sale(dear)] })],
    ["/s/nothing", stage()],
    ["/orders", stage({ orders: [held], places: [place()] })],
    [pagePath(held.id), stage({ orders: [held] })],
    ["/", stage({ sales: [sale(dear), sale()], orders: [held] })],
    ["/account", stage()],
  ];
  for (const locale of ["en-US", "de-DE", "ar-EG"]) {
    for (const [path, state] of states) {
      const page = await open(state, path, { browser: { locale, viewport: { width: 320, height: 640 } } });
      await page.locator("main .figure, main h1").first().waitFor();
      for (const size of ["once", "twice"]) {
        if (size === "twice") await enlargeText(page);
        const what = `${locale} ${path} ${size}`;
        expect(await page.evaluate(() => document.documentElement.scrollWidth), what).toBeLessThanOrEqual(
          320,
        );
        expect(await findCutText(page), what).toEqual([]);
      }
      await page.context().close();
    }
  }
}, 240_000);

test("a signed-in buyer's header has one row on a phone, and the admin's header stays small", async () => {
  for (const locale of ["en-GB", "de-DE", "ar-EG"]) {
    const browser = { locale, viewport: { width: 360, height: 740 } };
    const page = await open(stage(), "/", { browser });
    const tops = await page.locator("header a").evaluateAll((links) =>
      links.map((link) => {
        const { top, height } = link.getBoundingClientRect();
        return top + height / 2;
      }),
    );
    expect(tops).toHaveLength(3);
    expect(Math.max(...tops) - Math.min(...tops), locale).toBeLessThan(6);
    const admin = await open(stage(), "/admin", { browser, isAdmin: true });
    const box = await admin.locator("header").boundingBox();
    expect(box?.height ?? 0, locale).toBeLessThan(740 / 5);
    await admin.context().close();
    await page.context().close();
  }
});

test("prices keep their room beside long names, also in the admin's list of products", async () => {
  const dear = sale({ product: product(LONG_NAME), price: DEAR, listPrice: DEAR });
  for (const width of [390, 800, 1280]) {
    const browser = { locale: "en-US", viewport: { width, height: 800 } };
    const page = await open(stage({ sales: [dear] }), "/admin/products", { browser, isAdmin: true });
    const price = page.getByText("$1,299,999.00").last();
    await price.waitFor();
    const range = await price.evaluate((element) => {
      const text = document.createRange();
      text.selectNodeContents(element);
      const { left, right, top, bottom } = text.getBoundingClientRect();
      return { left, right, top, bottom };
    });
    for (const neighbour of await page.locator("main li h2, main li p a, main li button").all()) {
      const box = await neighbour.boundingBox();
      if (box === null) continue;
      const isApart =
        box.x >= range.right ||
        box.x + box.width <= range.left ||
        box.y >= range.bottom ||
        box.y + box.height <= range.top;
      expect(isApart, `${width} px`).toBe(true);
    }
    await page.context().close();
  }
});

test("names in another direction than the page are isolated wherever they are shown", async () => {
  const name = "”Volt Runner 3 “Ember";
  const state = stage({
    sales: [sale({ product: product(name) })],
    orders: [order({ status: "confirmed", product: product(name) })],
    places: [place()],
  });
  for (const [path, isAdmin] of [
    ["/", false],
    ["/s/lamp", false],
    ["/orders", false],
    [pagePath(order().id), false],
    ["/admin", true],
    ["/admin/products", true],
  ] as const) {
    const page = await open(state, path, { isAdmin, browser: { locale: "ar-EG" } });
    await page.locator("main h1, main h2, main h3").filter({ hasText: name }).first().waitFor();
    const bare = await page.evaluate((name) => {
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const found: string[] = [];
      for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
        const isIsolated =
          node.parentElement?.closest("bdi") || node.textContent?.includes(`\u2068${name}\u2069`);
        if (node.textContent?.includes(name) && !isIsolated) found.push(node.parentElement?.outerHTML ?? "");
      }
      return found;
    }, name);
    expect(bare, path).toEqual([]);
    await page.context().close();
  }
});

test("pictures have a size and are loaded when they come near the screen", async () => {
  const withPicture = (id: string) =>
    sale({ id, slug: id, product: { ...product(id), imageUrl: "/picture.svg" } });
  const page = await open(stage({ sales: ["a", "b"].map(withPicture) }), "/");
  const pictures = await page
    .locator("main img")
    .evaluateAll((images) =>
      images.map((image) => ["loading", "width", "height"].map((name) => image.getAttribute(name)).join(" ")),
    );
  expect(pictures).toEqual(["lazy 800 600", "lazy 800 600"]);
  await page.goto("/s/a");
  expect(await page.locator("main img").getAttribute("loading")).toBe("eager");
  expect(await page.title()).toBe("a · Doorbuster");
  expect(NOW).toBeLessThan(Date.now());
});
