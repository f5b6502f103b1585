// Bad days: no network, a server that restarts, a clock that is wrong, a session that ends, a script in a name.

import { afterAll, beforeAll, expect, test } from "vitest";
import { look } from "./look";
import { order, register, Shop, signIn, stage } from "./shop";

const shop = new Shop();
beforeAll(() => shop.open());
afterAll(() => shop.close());

const LINE = { type: "fifo", perSecond: 1, checkoutSeconds: 60, lineOpensSecondsBefore: 3_600 };

test("a device whose clock is an hour off counts down to the server's start", async () => {
  await shop.sale({ slug: "later", startsInS: 600 });
  const page = await (await shop.person()).newPage();
  await page.clock.install({ time: Date.now() + 3_600_000 });
  await page.clock.resume();
  await page.goto("/s/later");
  await stage(page, "upcoming");
  await page.waitForFunction(() =>
    /^(9|10):\d\d$/.test(document.querySelector("[role=timer]")?.textContent ?? ""),
  );
  await look(page, "upcoming");
});

test("a place in line outlives a lost network and a restart of the server", async () => {
  const { id } = await shop.sale({ slug: "restart", startsInS: 900, admission: LINE });
  const other = await shop.stranger("other");
  await shop.call("POST", "/queue/join", { flashSaleId: id }, other.token);
  const person = await shop.person();
  const page = await person.newPage();
  await page.goto("/register?to=%2Fs%2Frestart");
  await register(page, "barbara");
  await page.getByRole("button", { name: "Join the line" }).click();
  await page.getByText("No. 2").waitFor();

  await person.setOffline(true);
  await page.getByText("You are offline.").waitFor();
  await look(page, "offline");
  await person.setOffline(false);
  await page.getByText("You are offline.").waitFor({ state: "detached" });

  await shop.stopServer();
  await page.getByText("Reconnecting").waitFor();
  await shop.startServer();
  await page.getByText("Reconnecting").waitFor({ state: "detached" });
  await page.getByText("No. 2").waitFor();
  await page.getByText("1 buyer is ahead of you.").waitFor();
});

test("a hold is still there after the server was restarted under it", async () => {
  await shop.sale({ slug: "held" });
  const page = await (await shop.person()).newPage();
  await page.goto("/register?to=%2Fs%2Fheld");
  await register(page, "margaret");
  await page.getByRole("button", { name: "Buy now" }).click();
  await order(page, "pending");
  await shop.stopServer();
  const pay = page.getByRole("button", { name: "Pay €49.00" }).click();
  await shop.startServer();
  await pay;
  await order(page, "confirmed");
});

test("who is signed out elsewhere is told kindly, and comes back to the same place", async () => {
  await shop.sale({ slug: "session", startsInS: 900, admission: LINE });
  const person = await shop.person();
  const page = await person.newPage();
  await page.goto("/register?to=%2Fs%2Fsession");
  await register(page, "edsger");
  await page.getByRole("button", { name: "Join the line" }).click();
  await stage(page, "waiting");
  await page.evaluate(() => {
    localStorage.setItem(
      "doorbuster.session",
      JSON.stringify({ refreshToken: "gone", user: { id: "x", username: "edsger" } }),
    );
    sessionStorage.setItem("doorbuster.access", JSON.stringify("gone"));
  });
  await page.reload();
  await page.getByText("You have been signed out.").waitFor();
  await look(page, "session-over");
  await page.getByRole("alert").getByRole("link", { name: "Sign in" }).click();
  await signIn(page, "edsger");
  await stage(page, "waiting");
});

test("an access token that has run out is renewed without a word, once for all tabs", async () => {
  const person = await shop.person();
  const page = await person.newPage();
  await page.goto("/register");
  await register(page, "donald");
  await page.getByText("donald").waitFor();
  let renewals = 0;
  person.on("request", (request) => {
    if (request.url().endsWith("/auth/refresh")) renewals += 1;
  });
  await page.evaluate(() => sessionStorage.setItem("doorbuster.access", JSON.stringify("stale")));
  await Promise.all([page.goto("/orders"), (await person.newPage()).goto("/orders")]);
  for (const tab of person.pages()) await tab.getByText("You have not ordered anything yet.").waitFor();
  expect(renewals).toBe(1);
});

test("paused, closed and unknown sales have their words, and a script in a name is only a name", async () => {
  const name = '<img src=x onerror="alert(1)"> & <script>alert(2)</script>';
  const { id } = await shop.sale({ slug: "names", name });
  const page = await (await shop.person()).newPage();
  page.on("dialog", () => {
    throw new Error("a name was run");
  });
  await shop.asAdmin("POST", `/flash-sales/${id}/pause`);
  await page.goto("/s/names");
  await stage(page, "paused");
  await page.getByRole("heading", { name }).waitFor();
  await look(page, "paused");
  await shop.asAdmin("POST", `/flash-sales/${id}/close`);
  await stage(page, "over");
  await look(page, "over");
  await page.goto("/s/nothing");
  await page.getByText("There is no such sale.").waitFor();
  await page.goto("/nowhere");
  await page.getByRole("heading", { name: "There is nothing here" }).waitFor();
  await look(page, "lost");
});

test("the shop reads from right to left in Arabic, and German is German", async () => {
  await shop.sale({ slug: "words" });
  for (const [locale, name, text] of [
    ["ar-EG", "words-ar", "متاح الآن"],
    ["de-DE", "words-de", "Jetzt zu haben"],
  ] as const) {
    const page = await (await shop.person({ locale })).newPage();
    await page.goto("/s/words");
    await page.getByRole("heading", { name: text }).waitFor();
    expect(await page.evaluate(() => document.documentElement.dir)).toBe(locale === "ar-EG" ? "rtl" : "ltr");
    await look(page, name);
  }
});

test("wrong words in a form are told beside their field", async () => {
  const page = await (await shop.person()).newPage();
  await page.goto("/register");
  await page.getByLabel("E-mail").fill("nobody");
  await page.getByLabel("Password").fill("short");
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByText("Please give an e-mail address").waitFor();
  await look(page, "register-wrong");
  await page.goto("/sign-in");
  await signIn(page, "nobody");
  await page.getByText("Name or password is not right.").waitFor();
});
