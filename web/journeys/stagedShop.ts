// The built pages with a staged server: every reply of the API is set by the test, so that each state of a page can be shown at will, also
// those that a real server reaches after minutes or never twice alike. The server's own journeys are in the other files.

import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page, type Route } from "playwright-core";
import { afterAll, beforeAll } from "vitest";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES: Record<string, string> = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".svg": "image/svg+xml",
};
/** At `/picture.svg`. */
const PICTURE =
  '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="6"><rect width="8" height="6"/></svg>';
const USER = { id: "u", username: "ada", email: "ada@example.com", role: "user" };

/** The server's time when a page opens; the clock of the browser differs from it by months. */
export const NOW = Date.parse("2026-03-14T11:45:00.000Z");
export const at = (seconds: number) => new Date(NOW + seconds * 1000).toISOString();

export const LINE = {
  type: "fifo",
  perSecond: 5,
  checkoutSeconds: 120,
  lineOpensSecondsBefore: 900,
  extensionSeconds: 0,
};

type Fields = Record<string, unknown>;
interface Reply {
  status: number;
  body?: Fields;
}

export const sale = (change: Fields = {}): Fields => ({
  id: "s",
  slug: "lamp",
  product: {
    id: "p",
    name: "Aurora desk lamp",
    description: "A lamp like the northern sky.",
    imageUrl: null,
  },
  price: { amount: 4_900, currency: "EUR" },
  listPrice: { amount: 12_900, currency: "EUR" },
  quantity: 10,
  available: 4,
  held: 2,
  sold: 3,
  availability: "available",
  status: "active",
  startsAt: at(-600),
  endsAt: at(3_000),
  limitPerBuyer: 1,
  admission: LINE,
  waiting: 12,
  payment: "required",
  holdSeconds: 300,
  version: 1,
  ...change,
});

export const place = (change: Fields = {}): Fields => ({
  flashSaleId: "s",
  ticket: 17,
  position: 5,
  ahead: 4,
  status: "waiting",
  availability: "available",
  estimatedWaitSeconds: 40,
  unitsLeft: 7,
  receipt: "17-kKOOA6hTPSx7",
  ...change,
});

export const order = (change: Fields = {}): Fields => ({
  id: "01a1fc31-0000-7000-8000-000000000001",
  flashSaleId: "s",
  status: "pending",
  paying: false,
  paymentRequired: true,
  quantity: 1,
  unitPrice: { amount: 4_900, currency: "EUR" },
  total: { amount: 4_900, currency: "EUR" },
  product: { id: "p", name: "Aurora desk lamp", description: "", imageUrl: null },
  createdAt: at(-60),
  updatedAt: at(-60),
  expiresAt: at(240),
  ...change,
});

/** What the server knows. A test may change it while a page is open. */
export interface Stage {
  sales: Fields[];
  places: Fields[];
  orders: Fields[];
  /** Of single requests, such as `POST /orders`. A function may wait or change the stage. */
  replies: Record<string, Reply | (() => Reply | Promise<Reply>)>;
}

export const stage = (change: Partial<Stage> = {}): Stage => ({
  sales: [sale()],
  places: [],
  orders: [],
  replies: {},
  ...change,
});

interface PageOptions {
  isSignedIn?: boolean;
  isAdmin?: boolean;
  browser?: Parameters<Browser["newContext"]>[0];
  /** Runs before the scripts of the page. */
  script?: () => void;
}

export function openStagedShop(): StagedShop {
  const shop = new StagedShop();
  beforeAll(() => shop.open());
  afterAll(() => shop.close());
  return shop;
}

export class StagedShop {
  #server: Server | null = null;
  #browser: Browser | null = null;

  async open(): Promise<void> {
    if (!existsSync(join(DIST, "index.html")))
      throw new Error("the pages are not built: scripts/web.sh build");
    this.#server = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? "/", "http://shop");
      const path = join(DIST, pathname);
      const isFile = path.startsWith(DIST) && extname(path) !== "" && existsSync(path);
      const file = isFile ? path : join(DIST, "index.html");
      const isPicture = pathname === "/picture.svg";
      const type = isPicture ? TYPES[".svg"] : TYPES[extname(file)];
      response.writeHead(200, { "content-type": type ?? "application/octet-stream" });
      response.end(isPicture ? PICTURE : readFileSync(file));
    });
    await new Promise<void>((resolve) => this.#server?.listen(0, "127.0.0.1", resolve));
    this.#browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox"],
    });
  }

  async close(): Promise<void> {
    await this.#browser?.close();
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  async newPage(state: Stage, options: PageOptions = {}): Promise<Page> {
    const context = await this.newContext(state, options);
    return context.newPage();
  }

  async newContext(state: Stage, options: PageOptions = {}): Promise<BrowserContext> {
    if (this.#browser === null) throw new Error("the shop is not open");
    const { port } = (this.#server as Server).address() as AddressInfo;
    const context = await this.#browser.newContext({
      baseURL: `http://127.0.0.1:${port}`,
      locale: "en-GB",
      timezoneId: "Europe/Berlin",
      reducedMotion: "reduce",
      ...options.browser,
    });
    const user = { ...USER, role: options.isAdmin ? "admin" : "user" };
    const stored = options.isSignedIn === false ? null : { refreshToken: "r", user };
    const known = { userId: user.id, saleIds: state.places.map(({ flashSaleId }) => flashSaleId) };
    await context.addInitScript(
      ([session, places]) => {
        if (session === null || sessionStorage.getItem("doorbuster.access") !== null) return;
        localStorage.setItem("doorbuster.session", session);
        sessionStorage.setItem("doorbuster.access", '"token"');
        if (places !== null) localStorage.setItem("doorbuster.places", places);
      },
      [stored && JSON.stringify(stored), JSON.stringify(known)] as const,
    );
    if (options.script) await context.addInitScript(options.script);
    const openedMs = performance.now();
    const clock = () => new Date(NOW + performance.now() - openedMs).toISOString();
    await context.route("**/api/v1/**", (route) => this.#answer(route, state, clock));
    await context.route("**/health", (route) => this.#answer(route, state, clock));
    await context.routeWebSocket(/socket\.io/, (socket) => void socket.close());
    return context;
  }

  async #answer(route: Route, state: Stage, clock: () => string): Promise<void> {
    const request = route.request();
    const { pathname, searchParams } = new URL(request.url());
    const path = pathname.replace("/api/v1", "");
    const scripted = state.replies[`${request.method()} ${path}`];
    const reply = scripted
      ? await (typeof scripted === "function" ? scripted() : scripted)
      : readStage(state, path, searchParams);
    const body = reply.body === undefined ? undefined : stamp(reply.body, clock());
    const isProblem = reply.status >= 400;
    // The page may have been closed while a test made the request wait.
    await route
      .fulfill({
        status: reply.status,
        headers: { "content-type": isProblem ? "application/problem+json" : "application/json" },
        body: body === undefined ? "" : JSON.stringify(body),
      })
      .catch(() => {});
  }
}

export const problem = (status: number, code: string, more: Fields = {}): Reply => ({
  status,
  body: { type: `/problems/${code}`, title: code, status, code, detail: `${code} in detail`, ...more },
});

function readStage(state: Stage, path: string, query: URLSearchParams): Reply {
  const [kind = "", id] = path.replace("/admin", "").slice(1).split("/");
  const found = (body: Fields | undefined, code: string): Reply =>
    body === undefined ? problem(404, code) : { status: 200, body };
  if (kind === "flash-sales" && id === undefined) return { status: 200, body: { items: state.sales } };
  if (kind === "flash-sales")
    return found(
      state.sales.find((one) => one.id === id || one.slug === id),
      "sale_unknown",
    );
  if (kind === "products" && id === undefined) {
    return {
      status: 200,
      body: {
        items: state.sales.map(({ product, listPrice }) => ({ ...(product as Fields), price: listPrice })),
      },
    };
  }
  if (kind === "orders" && id === undefined) return { status: 200, body: { items: state.orders } };
  if (kind === "orders")
    return found(
      state.orders.find((one) => one.id === id),
      "order_unknown",
    );
  if (path === "/queue/position") {
    return found(
      state.places.find(({ flashSaleId }) => flashSaleId === query.get("flashSaleId")),
      "not_in_line",
    );
  }
  return problem(404, "not_found");
}

/** Every sale in a reply has the server's time. */
function stamp(body: Fields, serverTime: string): Fields {
  if (Array.isArray(body.items)) {
    return { ...body, items: body.items.map((item: Fields) => stamp(item, serverTime)) };
  }
  return "slug" in body ? { ...body, serverTime } : body;
}

/** Doubles all text, as a browser with large text does. */
export async function enlargeText(page: Page): Promise<void> {
  await page.evaluate(() => {
    document.documentElement.style.fontSize = "200%";
  });
}

/** The elements whose text is cut off, beside those that shorten a name with an ellipsis. */
export async function findCutText(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>("main *, header *, [data-bar] *")]
      .filter((element) => {
        const style = getComputedStyle(element);
        const isHidden =
          element.closest<HTMLElement>(".sr-only, .truncate, .tabs, select, svg") || element.offsetWidth <= 1;
        if (style.textOverflow === "ellipsis" || isHidden) return false;
        const isClipped = style.overflowX !== "visible" || style.overflowY !== "visible";
        const right = element.getBoundingClientRect().right;
        const isOutside = element.textContent !== "" && right > document.documentElement.clientWidth + 1;
        return (isClipped && element.scrollWidth > element.clientWidth + 1) || isOutside;
      })
      .map((element) => element.outerHTML.slice(0, 120)),
  );
}
