// The socket of this tab: when it connects, for which user, and when it reconnects. It passes messages to the cache patcher and its
// own state to `liveState`.

import { io, type Socket } from "socket.io-client";
import { apiOrigin } from "../apiOrigin";
import { SessionEndedError } from "../errors";
import { queryClient } from "../queryCache";
import { accessToken, renewToken, session } from "../session";
import { CachePatcher } from "./cachePatcher";
import { liveState } from "./liveState";
import type { ClientEvents, ServerEvents } from "./messages";

/** After this time a connection counts as steady. One that breaks every two seconds never does, and the pages keep polling. */
const STEADY_MS = 5_000;
/** How often a steady tab fetches everything anyway: a dead connection can stay unnoticed for a while. */
const REFETCH_MS = 45_000;
/** The backoff after a cut, with jitter: without it, a restart would bring all tabs back at once. */
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 20_000;
/** The delays after the server has refused the connection, because it is overloaded or because the limit of sockets is reached. */
const BUSY_MS = 15_000;
const FULL_MS = 60_000;
/** The server lets a socket watch 32 sales. A socket cannot stop watching one; only a new socket can. */
const WATCHED_MAX = 30;

export function createSocket(): LiveSocket {
  return new LiveSocket();
}

class LiveSocket {
  readonly #patcher = new CachePatcher(queryClient);
  readonly #socket: Socket<ServerEvents, ClientEvents>;
  #wanted: readonly string[] | null = null;
  readonly #watched = new Set<string>();
  #token: string | null = null;
  #hasRenewed = false;
  #isSessionOver = false;
  #userId = signedInUserId();
  #steadyTimer: ReturnType<typeof setTimeout> | undefined;
  #refetchTimer: ReturnType<typeof setTimeout> | undefined;
  #reconnectTimer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.#socket = io(apiOrigin(), {
      autoConnect: false,
      // Behind a proxy that blocks WebSockets the pages poll, which costs no more than long polling.
      transports: ["websocket"],
      auth: (send) => void this.#authenticate(send),
      reconnectionDelay: RETRY_MS,
      reconnectionDelayMax: RETRY_MS_MAX,
      randomizationFactor: 0.5,
    });
    this.#addListeners();
    session.subscribe(() => {
      if (this.#userId === signedInUserId()) return;
      this.#userId = signedInUserId();
      this.#hasRenewed = false;
      this.#reconnect();
    });
  }

  /** Connects and watches these sales; `null` disconnects. */
  watchSales(sales: readonly string[] | null): void {
    this.#wanted = sales;
    if (sales === null) {
      this.#cancelReconnect();
      this.#socket.disconnect();
      liveState.set("off");
    } else if (this.#socket.connected) {
      this.#watchMissing();
    } else {
      if (liveState.get() === "off") liveState.set("joining");
      // Unless it is connecting, or will connect later.
      if (!this.#socket.active && this.#reconnectTimer === undefined) this.#socket.connect();
    }
  }

  #addListeners(): void {
    this.#socket.on("inventory:update", (message) => this.#patcher.applyInventory(message));
    this.#socket.on("sale:status-change", (message) => this.#patcher.applySaleStatus(message));
    this.#socket.on("queue:position-update", (message) => this.#patcher.applyPlace(message));
    this.#socket.on("order:update", (message) => this.#patcher.applyOrder(message));
    this.#socket.on("session:over", () => {
      this.#isSessionOver = true;
    });
    this.#socket.on("server:restart", ({ retryAfterMs }) => this.#socket.io.reconnectionDelay(retryAfterMs));
    this.#socket.on("connect", () => this.#onConnect());
    this.#socket.on("disconnect", (reason) => this.#onDisconnect(reason));
    this.#socket.on("connect_error", (error) => this.#onConnectError(error));
  }

  async #authenticate(send: (auth: object) => void): Promise<void> {
    try {
      this.#token = await accessToken();
    } catch (error) {
      // A socket without a session gets no updates of orders and places, so it is better to connect later.
      if (!(error instanceof SessionEndedError)) return this.#connectLater(BUSY_MS);
      this.#token = null;
    }
    // The pages read positions from the feed of the line; the socket brings the turn, and how a place ended.
    send(this.#token === null ? {} : { token: this.#token, positions: false });
  }

  #onConnect(): void {
    this.#hasRenewed = false;
    this.#isSessionOver = false;
    this.#socket.io.reconnectionDelay(RETRY_MS);
    if (liveState.get() === "full") liveState.set("joining");
    this.#watched.clear();
    this.#watchMissing();
    this.#steadyTimer = setTimeout(() => {
      liveState.set("steady");
      // Something may have changed between the last poll and the first message.
      this.#refetchAll();
    }, STEADY_MS);
  }

  #onDisconnect(reason: Socket.DisconnectReason): void {
    clearTimeout(this.#steadyTimer);
    clearTimeout(this.#refetchTimer);
    if (this.#wanted === null) return;
    liveState.set("joining");
    if (this.#isSessionOver) void this.#renewAndReconnect();
    // After this reason socket.io does not reconnect by itself.
    else if (reason === "io server disconnect") this.#connectLater(this.#socket.io.reconnectionDelay());
  }

  #onConnectError(error: Error & { data?: { code?: string } }): void {
    // The server was not reached: socket.io reconnects by itself.
    if (this.#socket.active) {
      if (liveState.get() === "full") liveState.set("joining");
      return;
    }
    const code = error.data?.code ?? error.message.split(":")[0];
    if (code === "unauthorized") {
      void this.#renewAndReconnect();
    } else if (code === "too_many_sockets" || code === "too_many_tabs") {
      liveState.set("full");
      this.#connectLater(FULL_MS);
    } else {
      this.#connectLater(BUSY_MS);
    }
  }

  /** Renews the token and reconnects. It renews once only: a server that refuses a new token will refuse the next one too. */
  async #renewAndReconnect(): Promise<void> {
    if (this.#hasRenewed) return this.#connectLater(FULL_MS);
    this.#hasRenewed = true;
    try {
      if (this.#token !== null) await renewToken(this.#token);
      this.#connectLater(RETRY_MS);
    } catch (error) {
      // When the session ends, the subscription in the constructor reconnects.
      if (!(error instanceof SessionEndedError)) this.#connectLater(BUSY_MS);
    }
  }

  #watchMissing(): void {
    const missing = (this.#wanted ?? []).filter((sale) => !this.#watched.has(sale));
    if (this.#watched.size > 0 && this.#watched.size + missing.length > WATCHED_MAX) {
      this.#reconnect();
      return;
    }
    for (const flashSaleId of missing.slice(0, WATCHED_MAX)) {
      this.#watched.add(flashSaleId);
      this.#socket.emit("inventory:watch", { flashSaleId }, (reply) => {
        if (!("code" in reply)) return this.#patcher.applyInventory(reply);
        this.#watched.delete(flashSaleId);
        setTimeout(() => this.#socket.connected && this.#watchMissing(), BUSY_MS);
      });
    }
  }

  #refetchAll(): void {
    void this.#patcher.refetchAll();
    this.#refetchTimer = setTimeout(() => this.#refetchAll(), randomize(REFETCH_MS));
  }

  #reconnect(): void {
    this.#socket.disconnect();
    if (this.#wanted === null) return;
    liveState.set("joining");
    this.#cancelReconnect();
    this.#socket.connect();
  }

  #connectLater(ms: number): void {
    this.#socket.disconnect();
    this.#cancelReconnect();
    this.#reconnectTimer = setTimeout(() => {
      this.#reconnectTimer = undefined;
      this.#socket.connect();
    }, randomize(ms));
  }

  #cancelReconnect(): void {
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = undefined;
  }
}

function signedInUserId(): string {
  const now = session.get();
  return now.status === "in" ? now.user.id : "";
}

function randomize(ms: number): number {
  return ms * (0.7 + 0.6 * Math.random());
}
