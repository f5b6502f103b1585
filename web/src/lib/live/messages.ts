// The messages of the socket (docs/api.md, "Live updates"). They have no generated schema, so this file declares them; fields that
// the API has too take their types from its schema.

import type { Order, Place, Sale } from "../api";

/** `version` is the sequence number of the last ledger event that the message includes. */
interface VersionedMessage {
  version: number;
}

export interface InventoryMessage extends VersionedMessage {
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

export interface SaleStatusMessage extends VersionedMessage {
  flashSaleId: string;
  status: Sale["status"];
  serverTime: string;
}

export interface PlaceMessage extends VersionedMessage {
  flashSaleId: string;
  ticket: number;
  position: number;
  ahead: number;
  status: Place["status"] | "served";
  admittedUntil?: string | null;
  remainingSeconds?: number | null;
  extensionSeconds?: number;
  estimatedWaitSeconds?: number | null;
  unitsLeft?: number | null;
  reason?: NonNullable<Place["reason"]> | null;
  lapsedAt?: string | null;
  leftAt?: string | null;
}

export interface OrderMessage extends VersionedMessage {
  id: string;
  flashSaleId: string;
  status: Order["status"];
  paying?: boolean;
  expiresAt?: string;
}

/** Acknowledges a refused request; other acknowledgements have no `code`. */
interface ProblemMessage {
  code: string;
}

export interface ServerEvents {
  "inventory:update": (message: InventoryMessage) => void;
  "sale:status-change": (message: SaleStatusMessage) => void;
  "queue:position-update": (message: PlaceMessage) => void;
  "order:update": (message: OrderMessage) => void;
  "session:over": () => void;
  "server:restart": (message: { retryAfterMs: number }) => void;
}

export interface ClientEvents {
  "inventory:watch": (
    message: { flashSaleId: string },
    acknowledge: (message: InventoryMessage | ProblemMessage) => void,
  ) => void;
}
