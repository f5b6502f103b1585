// The stage of a buyer in a sale, derived from the sale, the buyer's place and the buyer's orders. Pure.

import { type TurnEnd, turnEnd } from "../../lib/activity";
import type { Order, Place, Sale } from "../../lib/api";
import { isSaleOver } from "../../lib/saleStatus";

export type BuyerStage =
  | { kind: "bought"; order: Order; mayBuyMore: number }
  | { kind: "held"; order: Order; untilMs: number }
  /** The bank has the payment and has not answered yet. */
  | { kind: "paying"; order: Order }
  | { kind: "admitted"; place: Place; end: TurnEnd }
  | { kind: "waiting"; place: Place }
  /** The buyer's turn has passed unused. */
  | { kind: "lapsed"; at: string | null }
  | { kind: "upcoming"; startsMs: number; line: "none" | "open" | { opensMs: number } }
  | { kind: "paused" }
  | { kind: "over"; reason: "ended" | "closed" | "deleted"; hadPlace: boolean }
  | { kind: "sold_out" }
  | { kind: "all_held" }
  | { kind: "line" }
  | { kind: "open" };

export function getBuyerStage(
  sale: Sale,
  place: Place | null,
  orders: readonly Order[],
  nowMs: number | null,
): BuyerStage {
  const mine = orders.filter((order) => order.flashSaleId === sale.id);
  const pending = mine.find((order) => order.status === "pending");
  if (pending?.paying) return { kind: "paying", order: pending };
  if (pending) return { kind: "held", order: pending, untilMs: Date.parse(pending.expiresAt ?? sale.endsAt) };
  if (place?.status === "admitted") return { kind: "admitted", place, end: turnEnd(place) };
  const isOver = isSaleOver(sale) || place?.status === "over";
  if (place?.status === "waiting" && !isOver) return { kind: "waiting", place };
  const bought = mine.find((order) => order.status === "confirmed");
  if (bought) {
    const owned = mine.reduce((sum, order) => sum + (order.status === "confirmed" ? order.quantity : 0), 0);
    const canBuy = sale.status === "active" && sale.availability === "available";
    return {
      kind: "bought",
      order: bought,
      mayBuyMore: canBuy ? Math.max(0, sale.limitPerBuyer - owned) : 0,
    };
  }
  if (isOver) {
    const reason = place?.reason ?? (sale.status === "closed" ? "closed" : "ended");
    return { kind: "over", reason, hadPlace: place?.status === "over" };
  }
  if (place?.status === "lapsed") return { kind: "lapsed", at: place.lapsedAt ?? null };
  if (sale.status === "upcoming") {
    return { kind: "upcoming", startsMs: Date.parse(sale.startsAt), line: lineBeforeStart(sale, nowMs) };
  }
  if (sale.availability === "sold_out") return { kind: "sold_out" };
  if (sale.status === "paused") return { kind: "paused" };
  // In a sale with a line, units that become free go to the line.
  if (sale.admission.type === "fifo") return { kind: "line" };
  return sale.availability === "all_held" ? { kind: "all_held" } : { kind: "open" };
}

function lineBeforeStart(sale: Sale, nowMs: number | null): "none" | "open" | { opensMs: number } {
  if (sale.admission.type !== "fifo") return "none";
  const opensMs = Date.parse(sale.startsAt) - sale.admission.lineOpensSecondsBefore * 1000;
  return nowMs !== null && nowMs >= opensMs ? "open" : { opensMs };
}

/** Identifies the stage and its order. The key changes when something has happened to the buyer, not when the position changes. */
export function stageKey(stage: BuyerStage): string {
  return "order" in stage ? `${stage.kind}:${stage.order.id}` : stage.kind;
}

/** What a waiting buyer may hope for. */
export type Prospect =
  | { kind: "next" }
  | { kind: "estimate"; seconds: number }
  /** More people than units are ahead: a unit reaches this place only if others leave or give theirs back. */
  | { kind: "beyond_stock"; unitsLeft: number }
  | { kind: "unknown" };

export function waitingProspect(sale: Sale, place: Place): Prospect {
  const unitsLeft = place.unitsLeft ?? sale.quantity - sale.sold;
  if (place.ahead >= unitsLeft) return { kind: "beyond_stock", unitsLeft };
  const seconds = place.estimatedWaitSeconds ?? null;
  if (seconds === null || sale.status === "paused" || sale.availability !== "available") {
    return { kind: "unknown" };
  }
  return place.ahead === 0 && seconds === 0 ? { kind: "next" } : { kind: "estimate", seconds };
}

/** How many units a buyer whose turn it is may ask for: the one that is set aside, and those that nobody has. */
export function turnQuantityMax(sale: Sale, orders: readonly Order[]): number {
  const owned = orders
    .filter((order) => order.flashSaleId === sale.id && order.status === "confirmed")
    .reduce((sum, order) => sum + order.quantity, 0);
  return Math.max(1, Math.min(sale.limitPerBuyer - owned, 1 + sale.available));
}
