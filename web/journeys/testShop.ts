// A real server in a folder of its own, a real browser, and what a merchant does to set a scene. Made anew for each file of
// journeys; nothing here knows how the pages are built.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { io, type Socket } from "socket.io-client";

const PASSWORD = "correct horse battery";
const ADMIN = { email: "boss@example.com", password: PASSWORD };
const START_MS = 20_000;

export interface SaleWish {
  name?: string;
  slug: string;
  quantity?: number;
  startsInS?: number;
  lastsS?: number;
  holdSeconds?: number;
  limitPerBuyer?: number;
  admission?: object;
}

export class Shop {
  readonly #folder = mkdtempSync(join(tmpdir(), "doorbuster-journeys-"));
  #server: ChildProcess | null = null;
  #browser: Browser | null = null;
  readonly #flags: string[];
  #port = 0;
  #admin = "";

  /** `flags` are further ones of `doorbuster serve`. */
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
    if (!binary) throw new Error("DOORBUSTER_BINARY says which server to test");
    const flags = ["--listen", `127.0.0.1:${this.#port}`, "--metrics-listen", "127.0.0.1:0"];
    const own = ["--data", join(this.#folder, "data"), "--limits", "off", "--drain-grace", "1ms"];
    const admin = ["--admin-email", ADMIN.email, "--admin-password", ADMIN.password];
    this.#server = spawn(binary, ["serve", ...flags, ...own, ...admin, ...this.#flags], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const isReady = async () => (await fetch(`${this.address}/readyz`).catch(() => null))?.ok ?? false;
    await until(isReady, "the server is ready");
  }

  /** By `SIGKILL` it is as if the machine had failed. */
  async stopServer(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const server = this.#server;
    if (server === null || server.exitCode !== null || server.signalCode !== null) return;
    const gone = new Promise((resolve) => server.once("exit", resolve));
    server.kill(signal);
    await gone;
  }

  /** A browser of its own, as another person has. */
  async person(options: Parameters<Browser["newContext"]>[0] = {}): Promise<BrowserContext> {
    if (this.#browser === null) throw new Error("the shop is not open");
    return this.#browser.newContext({ baseURL: this.address, locale: "en-GB", ...options });
  }

  // biome-ignore lint/suspicious/noExplicitAny: the scenes take single fields out of replies
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

  async asAdmin(method: string, path: string, body?: object) {
    const call = () => this.call(method, `/admin${path}`, body, this.#admin);
    return call().catch(async (error: Error) => {
      if (!error.message.includes(": 401 ")) throw error;
      await this.#signInAdmin();
      return call();
    });
  }

  async sale(wish: SaleWish) {
    const product = await this.asAdmin("POST", "/products", {
      name: wish.name ?? "Aurora desk lamp",
      description: "A small lamp that looks like the northern sky.",
      price: { amount: 12_900, currency: "EUR" },
      category: "Lighting",
    });
    const starts = Date.now() + (wish.startsInS ?? -0) * 1000;
    const sale = await this.asAdmin("POST", "/flash-sales", {
      productId: product.id,
      slug: wish.slug,
      price: { amount: 4_900, currency: "EUR" },
      quantity: wish.quantity ?? 10,
      startsAt: new Date(starts).toISOString(),
      endsAt: new Date(starts + (wish.lastsS ?? 3_600) * 1000).toISOString(),
      holdSeconds: wish.holdSeconds ?? 300,
      limitPerBuyer: wish.limitPerBuyer ?? 1,
      admission: wish.admission ?? { type: "open" },
    });
    return sale as { id: string; slug: string };
  }

  /** Somebody else, who needs no browser. */
  async stranger(username: string) {
    const reply = await this.call("POST", "/auth/register", {
      email: `${username}@example.com`,
      username,
      password: PASSWORD,
    });
    return { token: reply.accessToken as string };
  }

  /** Somebody else, who holds units and has not paid; in a sale with a line once they are admitted. */
  async holder(flashSaleId: string, username: string, { hasLine = true, quantity = 1 } = {}) {
    const { token } = await this.stranger(username);
    if (hasLine) {
      await this.call("POST", "/queue/join", { flashSaleId }, token);
      const place = () => this.call("GET", `/queue/position?flashSaleId=${flashSaleId}`, undefined, token);
      await until(async () => (await place()).status === "admitted", `${username} is admitted`);
    }
    const order = await this.call("POST", "/orders", { flashSaleId, quantity }, token);
    return {
      cancel: () => this.call("DELETE", `/orders/${order.id}`, undefined, token),
      pay: () => this.call("POST", `/orders/${order.id}/pay`, { method: "sandbox:approve" }, token),
    };
  }

  /** How many orders a buyer has who is signed in on this page. */
  async ordersOf(page: Page): Promise<number> {
    const token = await page.evaluate(() => JSON.parse(sessionStorage.getItem("doorbuster.access") ?? ""));
    return (await this.call("GET", "/orders", undefined, token)).items.length;
  }

  /** A tab without a page around it. */
  async socket(token: string): Promise<Socket> {
    const socket = io(this.address, { auth: { token }, transports: ["websocket"], forceNew: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
    });
    return socket;
  }
}

/** Makes an account on the page, coming from wherever `page` is. */
export async function register(page: Page, username: string): Promise<void> {
  await page.getByLabel("E-mail").fill(`${username}@example.com`);
  await page.getByLabel("Username").fill(username);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
}

export async function signIn(page: Page, username: string): Promise<void> {
  await page.getByLabel("E-mail or username").fill(username);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

export async function stage(page: Page, kind: string): Promise<void> {
  await page.locator(`[data-stage="${kind}"]`).waitFor({ timeout: 20_000 });
}

export async function order(page: Page, status: string): Promise<void> {
  await page.locator(`[data-order="${status}"]`).waitFor({ timeout: 20_000 });
}

/** The page is told what happens, and asks only to be sure. */
export async function steady(page: Page): Promise<void> {
  await page.locator('[data-live="steady"]').waitFor({ timeout: 30_000 });
}

/** What a page asks of the server from now on, without the files of the page itself. */
export function asked(page: Page): string[] {
  const paths: string[] = [];
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.startsWith("/api/")) paths.push(`${request.method()} ${pathname}`);
  });
  return paths;
}

export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const givenUp = Date.now() + START_MS;
  while (!(await isSo())) {
    if (Date.now() > givenUp) throw new Error(`waited in vain: ${what}`);
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
