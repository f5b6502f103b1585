// The stage of a buyer in a sale, derived from the sale, the buyer's place and the buyer's orders. Pure.

import type { Order, Place, Sale } from "../../lib/api";
import { isSaleOver } from "../../lib/saleStatus";

export type BuyerStage =
  | { kind: "bought"; order: Order; mayBuyMore: number }
  | { kind: "held"; order: Order; untilMs: number }
  | { kind: "admitted"; place: Place; untilMs: number }
  | { kind: "waiting"; place: Place }
  | { kind: "upcoming"; startsMs: number; line: "none" | "open" | { opensMs: number } }
  | { kind: "paused" }
  | { kind: "over"; closed: boolean }
  | { kind: "sold_out" }
  | { kind: "all_held" }
  | { kind: "line" }
  | { kind: "open" };

export function getBuyerStage(
  sale: Sale,
  place: Place | null,
  orders: readonly Order[],
  nowMs: number,
): BuyerStage {
  const mine = orders.filter((order) => order.flashSaleId === sale.id);
  const pending = mine.find((order) => order.status === "pending");
  if (pending) return { kind: "held", order: pending, untilMs: Date.parse(pending.expiresAt ?? sale.endsAt) };
  if (place?.status === "admitted") {
    return { kind: "admitted", place, untilMs: Date.parse(place.admittedUntil ?? sale.endsAt) };
  }
  const isOver = isSaleOver(sale);
  if (place !== null && !isOver) return { kind: "waiting", place };
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
  if (isOver) return { kind: "over", closed: sale.status === "closed" };
  if (sale.status === "upcoming") {
    return { kind: "upcoming", startsMs: Date.parse(sale.startsAt), line: lineBeforeStart(sale, nowMs) };
  }
  if (sale.availability === "sold_out") return { kind: "sold_out" };
  if (sale.status === "paused") return { kind: "paused" };
  // In a sale with a line, units that become free go to the line.
  if (sale.admission.type === "fifo") return { kind: "line" };
  return sale.availability === "all_held" ? { kind: "all_held" } : { kind: "open" };
}

function lineBeforeStart(sale: Sale, nowMs: number): "none" | "open" | { opensMs: number } {
  if (sale.admission.type !== "fifo") return "none";
  const opensMs = Date.parse(sale.startsAt) - sale.admission.lineOpensSecondsBefore * 1000;
  return nowMs >= opensMs ? "open" : { opensMs };
}

/** Identifies the stage and its order. The key changes when something has happened to the buyer, not when the position changes. */
export function stageKey(stage: BuyerStage): string {
  if (stage.kind === "held" || stage.kind === "bought") return `${stage.kind}:${stage.order.id}`;
  return stage.kind;
}
