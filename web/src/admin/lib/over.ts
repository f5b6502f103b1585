// Whether a sale is over.

import type { Sale } from "../../lib/api";

export const isOver = (sale: Pick<Sale, "status"> | undefined): boolean =>
  sale?.status === "ended" || sale?.status === "closed";
