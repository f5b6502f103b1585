// What the server says over the socket (docs/api.md, "Live updates"). Sockets have no generated schema, so their words are typed
// here and nowhere else; whatever a word shares with the API is taken from there.

import type { Order, Place, Sale } from "../api";

/** `version` is the number of the last ledger event that is in it. */
interface Versioned {
  version: number;
}

export interface InventoryWord extends Versioned {
  flashSaleId: string;
  available: number;
  held: number;
  sold: number;
  availability: Sale["availability"];
  waiting: number;
  status: Sale["status"];
  quantity: number;
  startsAt: string;
  endsAt: string;
  serverTime: string;
}

export interface StatusWord extends Versioned {
  flashSaleId: string;
  status: Sale["status"];
  serverTime: string;
}

export interface PlaceWord extends Versioned {
  flashSaleId: string;
  ticket: number;
  position: number;
  ahead: number;
  status: Place["status"] | "lapsed" | "left" | "served";
  admittedUntil?: string;
  extensionSeconds?: number;
  estimatedWaitSeconds: number;
}

export interface OrderWord extends Versioned {
  id: string;
  flashSaleId: string;
  status: Order["status"];
  expiresAt?: string;
}

/** The answer to a request that was refused; others have no `code`. */
interface ProblemWord {
  code: string;
}

export interface Heard {
  "inventory:update": (word: InventoryWord) => void;
  "sale:status-change": (word: StatusWord) => void;
  "queue:position-update": (word: PlaceWord) => void;
  "order:update": (word: OrderWord) => void;
  "session:over": () => void;
  "server:restart": (word: { retryAfterMs: number }) => void;
}

export interface Said {
  "inventory:watch": (
    word: { flashSaleId: string },
    answer: (word: InventoryWord | ProblemWord) => void,
  ) => void;
}
