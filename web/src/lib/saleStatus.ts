// What the pages derive from the status of a sale, in one place for buyers and merchants.

import type { Sale } from "./api";

export function isSaleOver(sale: Pick<Sale, "status"> | null | undefined): boolean {
  return sale?.status === "ended" || sale?.status === "closed";
}

/** The sales as both lists show them: running ones by their end, upcoming ones by their start, the latest of the past first. */
export function groupSales(sales: readonly Sale[]) {
  const running = sales.filter(({ status }) => status === "active" || status === "paused");
  const upcoming = sales.filter(({ status }) => status === "upcoming");
  const past = sales.filter(isSaleOver);
  return [
    { name: "running", sales: running.sort((a, b) => a.endsAt.localeCompare(b.endsAt)) },
    { name: "upcoming", sales: upcoming.sort((a, b) => a.startsAt.localeCompare(b.startsAt)) },
    { name: "past", sales: past.sort((a, b) => b.endsAt.localeCompare(a.endsAt)) },
  ] as const;
}
