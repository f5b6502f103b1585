// The socket of this tab: when it connects, as whom, and when it tries again. It shows nothing and decides nothing: what it hears
// goes to the patches, how it is goes to `live`.

import { io, type Socket } from "socket.io-client";
import { SessionOver } from "../problem";
import { queryClient } from "../queries";
import { accessToken, renew, session } from "../session";
import { live } from "./live";
import { Patches } from "./patch";
import type { Heard, Said } from "./words";

/** A connection that has lasted so long is relied on. One that is cut every two seconds never is, and the pages keep asking. */
const STEADY_MS = 5_000;
/** How often everything is asked for although it is told: a connection can be dead for a while before anyone notices. */
const SAFETY_MS = 45_000;
/** Tries after a cut, each later than the one before. All are spread, or a restart would bring everyone back at once. */
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 20_000;
/** After a no: the server has too much to do, or no place. */
const BUSY_MS = 15_000;
const FULL_MS = 60_000;
/** The server lets a socket watch 32 sales, and none can be given back but with the socket. */
const WATCHED_MAX = 30;

export function open(): Wire {
  return new Wire();
}

class Wire {
  readonly #patches = new Patches(queryClient);
  readonly #socket: Socket<Heard, Said>;
  #wanted: readonly string[] | null = null;
  readonly #watched = new Set<string>();
  #token: string | null = null;
  #hasRenewed = false;
  #isOver = false;
  #who = who();
  #steady: ReturnType<typeof setTimeout> | undefined;
  #safety: ReturnType<typeof setTimeout> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.#socket = io({
      autoConnect: false,
      // Where a proxy lets no WebSocket through, the pages ask by themselves, which is no worse than long polling.
      transports: ["websocket"],
      auth: (send) => void this.#introduce(send),
      reconnectionDelay: RETRY_MS,
      reconnectionDelayMax: RETRY_MAX_MS,
      randomizationFactor: 0.5,
    });
    this.#listen();
    session.subscribe(() => {
      if (this.#who === who()) return;
      this.#who = who();
      this.#hasRenewed = false;
      this.#startAnew();
    });
  }

  /** Connects, and watches these sales; `null` when no page wants anything any more. */
  want(sales: readonly string[] | null): void {
    this.#wanted = sales;
    if (sales === null) {
      this.#forgetAgain();
      this.#socket.disconnect();
      live.set("off");
    } else if (this.#socket.connected) {
      this.#watch();
    } else {
      if (live.get() === "off") live.set("joining");
      // Unless it is on its way, or was asked to come later.
      if (!this.#socket.active && this.#again === undefined) this.#socket.connect();
    }
  }

  #listen(): void {
    this.#socket.on("inventory:update", (word) => this.#patches.inventory(word));
    this.#socket.on("sale:status-change", (word) => this.#patches.status(word));
    this.#socket.on("queue:position-update", (word) => this.#patches.place(word));
    this.#socket.on("order:update", (word) => this.#patches.order(word));
    this.#socket.on("session:over", () => {
      this.#isOver = true;
    });
    this.#socket.on("server:restart", ({ retryAfterMs }) => this.#socket.io.reconnectionDelay(retryAfterMs));
    this.#socket.on("connect", () => this.#came());
    this.#socket.on("disconnect", (reason) => this.#left(reason));
    this.#socket.on("connect_error", (error) => this.#refused(error));
  }

  async #introduce(send: (auth: object) => void): Promise<void> {
    try {
      this.#token = await accessToken();
    } catch (error) {
      // As nobody one would hear of nothing that is one's own: rather later than that.
      if (!(error instanceof SessionOver)) return this.#later(BUSY_MS);
      this.#token = null;
    }
    send(this.#token === null ? {} : { token: this.#token });
  }

  #came(): void {
    this.#hasRenewed = false;
    this.#isOver = false;
    this.#socket.io.reconnectionDelay(RETRY_MS);
    if (live.get() === "full") live.set("joining");
    this.#watched.clear();
    this.#watch();
    this.#steady = setTimeout(() => {
      live.set("steady");
      // Whatever happened between the last asking and the first word.
      this.#askAll();
    }, STEADY_MS);
  }

  #left(reason: Socket.DisconnectReason): void {
    clearTimeout(this.#steady);
    clearTimeout(this.#safety);
    if (this.#wanted === null) return;
    live.set("joining");
    if (this.#isOver) void this.#renew();
    // After this the client does not try again by itself.
    else if (reason === "io server disconnect") this.#later(this.#socket.io.reconnectionDelay());
  }

  #refused(error: Error & { data?: { code?: string } }): void {
    // Not reached: the client tries again by itself.
    if (this.#socket.active) {
      if (live.get() === "full") live.set("joining");
      return;
    }
    const code = error.data?.code ?? error.message.split(":")[0];
    if (code === "unauthorized") {
      void this.#renew();
    } else if (code === "too_many_sockets" || code === "too_many_tabs") {
      live.set("full");
      this.#later(FULL_MS);
    } else {
      this.#later(BUSY_MS);
    }
  }

  /** Comes back with a token that is good; asked for once, because a server that refuses a new one will refuse the next. */
  async #renew(): Promise<void> {
    if (this.#hasRenewed) return this.#later(FULL_MS);
    this.#hasRenewed = true;
    try {
      if (this.#token !== null) await renew(this.#token);
      this.#later(RETRY_MS);
    } catch (error) {
      // The end of the session starts it anew by itself.
      if (!(error instanceof SessionOver)) this.#later(BUSY_MS);
    }
  }

  #watch(): void {
    const missing = (this.#wanted ?? []).filter((sale) => !this.#watched.has(sale));
    if (this.#watched.size > 0 && this.#watched.size + missing.length > WATCHED_MAX) {
      this.#startAnew();
      return;
    }
    for (const flashSaleId of missing.slice(0, WATCHED_MAX)) {
      this.#watched.add(flashSaleId);
      this.#socket.emit("inventory:watch", { flashSaleId }, (answer) => {
        if (!("code" in answer)) return this.#patches.inventory(answer);
        this.#watched.delete(flashSaleId);
        setTimeout(() => this.#socket.connected && this.#watch(), BUSY_MS);
      });
    }
  }

  #askAll(): void {
    void this.#patches.askAll();
    this.#safety = setTimeout(() => this.#askAll(), around(SAFETY_MS));
  }

  #startAnew(): void {
    this.#socket.disconnect();
    if (this.#wanted === null) return;
    live.set("joining");
    this.#forgetAgain();
    this.#socket.connect();
  }

  #later(ms: number): void {
    this.#socket.disconnect();
    this.#forgetAgain();
    this.#again = setTimeout(() => {
      this.#again = undefined;
      this.#socket.connect();
    }, around(ms));
  }

  #forgetAgain(): void {
    clearTimeout(this.#again);
    this.#again = undefined;
  }
}

function who(): string {
  const now = session.get();
  return now.status === "in" ? now.user.id : "";
}

function around(ms: number): number {
  return ms * (0.7 + 0.6 * Math.random());
}
