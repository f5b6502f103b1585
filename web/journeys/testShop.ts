// A server with its own data directory, a browser, and the API calls that set up a test. Each file of journeys starts its own. This
// module knows the addresses, labels and data attributes of the pages, not their code.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { io, type Socket } from "socket.io-client";
import { afterAll, beforeAll } from "vitest";

export const PASSWORD = "correct horse battery";
const ADMIN = { email: "boss@example.com", password: PASSWORD };
const WAIT_MS_MAX = 20_000;

export interface SaleOptions {
  name?: string;
  slug: string;
  quantity?: number;
  startsInS?: number;
  lastsS?: number;
  holdSeconds?: number;
  payment?: "required" | "none";
  limitPerBuyer?: number;
  requireConfirmedEmail?: boolean;
  admission?: object;
}

/** Starts a shop before the tests of a file, and stops it after them. */
export function startTestShop(...flags: string[]): TestShop {
  const shop = new TestShop(...flags);
  beforeAll(() => shop.open());
  afterAll(() => shop.close());
  return shop;
}

export class TestShop {
  readonly #folder = mkdtempSync(join(tmpdir(), "doorbuster-journeys-"));
  #server: ChildProcess | null = null;
  #browser: Browser | null = null;
  readonly #flags: string[];
  #port = 0;
  #admin = "";

  /** `flags` are additional flags of `doorbuster serve`; in them `{address}` stands for the address of the shop. */
  constructor(...flags: string[]) {
    this.#flags = flags;
  }

  get address(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async open(): Promise<void> {
    this.#port = await freePort();
    await this.startServer();
    this.#browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox"],
    });
    await this.#signInAdmin();
  }

  async #signInAdmin(): Promise<void> {
    this.#admin = (await this.call("POST", "/auth/login", ADMIN)).accessToken;
  }

  async close(): Promise<void> {
    await this.#browser?.close();
    await this.stopServer();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async startServer(): Promise<void> {
    const binary = process.env.DOORBUSTER_BINARY;
    if (!binary) throw new Error("DOORBUSTER_BINARY must name the binary of the server");
    const flags = ["--listen", `127.0.0.1:${this.#port}`, "--metrics-listen", "127.0.0.1:0"];
    const own = ["--data", join(this.#folder, "data"), "--limits", "off", "--drain-grace", "1ms"];
    const admin = ["--admin-email", ADMIN.email, "--admin-password", ADMIN.password];
    const further = this.#flags.map((flag) => flag.replace("{address}", this.address));
    this.#server = spawn(binary, ["serve", ...flags, ...own, ...admin, ...further], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const isReady = async () => (await fetch(`${this.address}/readyz`).catch(() => null))?.ok ?? false;
    await waitUntil(isReady, "the server is ready");
  }

  /** `SIGKILL` simulates a failure of the machine. */
  async stopServer(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const server = this.#server;
    if (server === null || server.exitCode !== null || server.signalCode !== null) return;
    const gone = new Promise((resolve) => server.once("exit", resolve));
    server.kill(signal);
    await gone;
  }

  /** Changes the shop's tables while the server is stopped, for what would take an hour otherwise. */
  async editTables(statement: string): Promise<void> {
    await this.stopServer();
    const file = join(this.#folder, "data", "shop.db");
    const script =
      "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()";
    const { status, stderr } = spawnSync("python3", ["-c", script, file, statement], { encoding: "utf8" });
    if (status !== 0) throw new Error(`${statement}: ${stderr}`);
    await this.startServer();
  }

  /** A browser profile of its own, as for another person. */
  async newBrowser(options: Parameters<Browser["newContext"]>[0] = {}): Promise<BrowserContext> {
    if (this.#browser === null) throw new Error("the shop is not started");
    return this.#browser.newContext({ baseURL: this.address, locale: "en-GB", ...options });
  }

  /** Opens a page signed in as admin. A dialog of the page fails the test: a script in a name could open one. */
  async openAdminPage(path: string, options: Parameters<Browser["newContext"]>[0] = {}): Promise<Page> {
    const page = await (await this.newBrowser({ timezoneId: "Europe/Berlin", ...options })).newPage();
    page.on("dialog", () => {
      throw new Error("the page ran a script from a name");
    });
    // Without the browser's own file dialog, which no test can operate.
    await page.addInitScript("delete window.showSaveFilePicker");
    await page.goto(`/sign-in?to=${encodeURIComponent(path)}`);
    // By name, because labels depend on the language.
    await page.locator("[name=name]").fill(ADMIN.email);
    await page.locator("[name=password]").fill(ADMIN.password);
    await page.locator("[type=submit]").click();
    await page.waitForURL((url) => url.pathname + url.search === path);
    return page;
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests read single fields of replies
  async call(method: string, path: string, body?: object, token?: string): Promise<any> {
    const response = await fetch(`${this.address}/api/v1${path}`, {
      method,
      headers: {
        ...(body ? { "content-type": "application/json" } : {}),
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  async callAsAdmin(method: string, path: string, body?: object) {
    const call = () => this.call(method, `/admin${path}`, body, this.#admin);
    return call().catch(async (error: Error) => {
      if (!error.message.includes(": 401 ")) throw error;
      await this.#signInAdmin();
      return call();
    });
  }

  async createSale(options: SaleOptions) {
    const product = await this.callAsAdmin("POST", "/products", {
      name: options.name ?? "Aurora desk lamp",
      description: "A small lamp that looks like the northern sky.",
      price: { amount: 12_900, currency: "EUR" },
      category: "Lighting",
    });
    const starts = Date.now() + (options.startsInS ?? 0) * 1000;
    const sale = await this.callAsAdmin("POST", "/flash-sales", {
      productId: product.id,
      slug: options.slug,
      price: { amount: 4_900, currency: "EUR" },
      quantity: options.quantity ?? 10,
      startsAt: new Date(starts).toISOString(),
      endsAt: new Date(starts + (options.lastsS ?? 3_600) * 1000).toISOString(),
      payment: options.payment ?? "required",
      holdSeconds: options.payment === "none" ? 0 : (options.holdSeconds ?? 300),
      limitPerBuyer: options.limitPerBuyer ?? 1,
      admission: options.admission ?? { type: "open" },
      ...(options.requireConfirmedEmail ? { requireConfirmedEmail: true } : {}),
    });
    return sale as { id: string; slug: string };
  }

  /** Registers a buyer over the API. */
  async registerBuyer(username: string) {
    const reply = await this.call("POST", "/auth/register", {
      email: `${username}@example.com`,
      username,
      password: PASSWORD,
    });
    return { token: reply.accessToken as string };
  }

  /** Registers a buyer who holds units; in a sale with a line, the buyer first waits to be admitted. */
  async holdUnits(flashSaleId: string, username: string, { hasLine = true, quantity = 1 } = {}) {
    const { token } = await this.registerBuyer(username);
    if (hasLine) {
      await this.call("POST", "/queue/join", { flashSaleId }, token);
      const place = () => this.call("GET", `/queue/position?flashSaleId=${flashSaleId}`, undefined, token);
      await waitUntil(async () => (await place()).status === "admitted", `${username} is admitted`);
    }
    const order = await this.call("POST", "/orders", { flashSaleId, quantity }, token);
    return {
      cancel: () => this.call("DELETE", `/orders/${order.id}`, undefined, token),
      pay: () => this.call("POST", `/orders/${order.id}/pay`, { method: "sandbox:approve" }, token),
    };
  }

  /** Counts the orders of the buyer who is signed in on this page. */
  async countOrders(page: Page): Promise<number> {
    const token = await page.evaluate(() => JSON.parse(sessionStorage.getItem("doorbuster.access") ?? ""));
    return (await this.call("GET", "/orders", undefined, token)).items.length;
  }

  /** Connects a socket of a buyer, as a further tab would. */
  async connectSocket(token: string): Promise<Socket> {
    const socket = io(this.address, { auth: { token }, transports: ["websocket"], forceNew: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
    });
    return socket;
  }
}

/** Fills in and sends the registration form, which the page must show. */
export async function register(page: Page, username: string): Promise<void> {
  await page.getByLabel("E-mail").fill(`${username}@example.com`);
  await page.getByLabel("Username").fill(username);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
}

export async function signIn(page: Page, username: string, password = PASSWORD): Promise<void> {
  await page.getByLabel("E-mail or username").fill(username);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

export async function waitForStage(page: Page, kind: string): Promise<void> {
  await page.locator(`[data-stage="${kind}"]`).waitFor({ timeout: 20_000 });
}

export async function waitForOrder(page: Page, status: string): Promise<void> {
  await page.locator(`[data-order="${status}"]`).waitFor({ timeout: 20_000 });
}

/** Waits until the page gets live updates and no longer polls. */
export async function waitForLive(page: Page): Promise<void> {
  await page.locator('[data-live="steady"]').waitFor({ timeout: 30_000 });
}

/** Records the API requests of a page from now on. */
export function recordRequests(page: Page): string[] {
  const paths: string[] = [];
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.startsWith("/api/")) paths.push(`${request.method()} ${pathname}`);
  });
  return paths;
}

export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  what: string,
  limitMs = WAIT_MS_MAX,
): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`timed out waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
