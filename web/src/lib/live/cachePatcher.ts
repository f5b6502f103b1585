// Applies socket messages to the query cache; no other module does. It drops messages that are older than the cache. Where a message
// does not contain the whole state, it makes the query fetch again.

import type { QueryClient } from "@tanstack/react-query";
import type { Order, Place, Sale } from "../api";
import { rememberPlace } from "../knownPlaces";
import { queryKeys } from "../queryKeys";
import { isOlder, markChanged, mergePlace } from "./freshness";
import type { InventoryMessage, OrderMessage, PlaceMessage, SaleStatusMessage } from "./messages";

/** At this number of places and orders the versions are cleared; the checks of the cached state then suffice. */
const VERSIONS_MAX = 500;

export class CachePatcher {
  readonly #queries: QueryClient;
  /** The highest version received for each place and order, whose cached state has no version. */
  readonly #versions = new Map<string, number>();

  constructor(queries: QueryClient) {
    this.#queries = queries;
  }

  applyInventory({ flashSaleId, ...changes }: InventoryMessage): void {
    this.#patchSale(flashSaleId, changes);
  }

  applySaleStatus({ flashSaleId, ...changes }: SaleStatusMessage): void {
    this.#patchSale(flashSaleId, changes);
  }

  applyPlace(message: PlaceMessage): void {
    if (this.#isOutdated(`place:${message.flashSaleId}`, message.version)) return;
    const key = queryKeys.place(message.flashSaleId);
    const cached = this.#queries.getQueryData<Place | null>(key);
    if (cached && cached.ticket > message.ticket) return;
    if (message.status === "waiting" || message.status === "admitted") {
      if (cached?.ticket === message.ticket) this.#movePlace(cached, message);
      // The buyer joined in another tab, or on another device. Only a reply contains the receipt.
      else this.#refetchPlace(key);
      rememberPlace(message.flashSaleId);
    } else if (cached?.ticket === message.ticket) {
      if (message.status === "served") void this.#servePlace(cached);
      else this.#endPlace(cached, message.status, message);
    } else if (cached === undefined) {
      markChanged(key);
    }
  }

  applyOrder(message: OrderMessage): void {
    if (this.#isOutdated(`order:${message.id}`, message.version)) return;
    let isCached = false;
    let isChanged = false;
    const patchOrder = (order: Order): Order => {
      if (order.id !== message.id) return order;
      isCached = true;
      const paying = message.paying ?? false;
      if (
        order.status === message.status &&
        (order.paying ?? false) === paying &&
        (order.expiresAt ?? undefined) === message.expiresAt
      )
        return order;
      isChanged = true;
      const expiresAt = message.expiresAt ?? order.expiresAt ?? null;
      return { ...order, status: message.status, paying, expiresAt };
    };
    const single = this.#queries.getQueryData<Order>(queryKeys.order(message.id));
    if (single) this.#setIfChanged(queryKeys.order(message.id), single, patchOrder(single));
    const lists = this.#queries.getQueriesData<CachedOrders>({ queryKey: queryKeys.orders });
    for (const [key, list] of lists) if (list) this.#setIfChanged(key, list, patchList(list, patchOrder));
    if (isCached && !isChanged) return;
    markChanged(queryKeys.order(message.id));
    markChanged(queryKeys.orders);
    if (isCached) void this.#queries.invalidateQueries({ queryKey: queryKeys.order(message.id) });
    else void this.#queries.invalidateQueries({ queryKey: queryKeys.orders });
  }

  /** Fetches everything that a page shows, in case a message was lost. */
  async refetchAll(): Promise<void> {
    await Promise.all([
      this.#queries.invalidateQueries({ queryKey: queryKeys.everySale }),
      this.#queries.invalidateQueries({ queryKey: queryKeys.own }),
    ]);
  }

  #patchSale(id: string, changes: Partial<Sale> & Pick<Sale, "version" | "serverTime">): void {
    for (const [key, sale] of this.#queries.getQueriesData<Sale>({ queryKey: queryKeys.everySale })) {
      if (sale?.id === id && !isOlder(changes, sale))
        this.#queries.setQueryData(key, { ...sale, ...changes });
    }
  }

  #movePlace(
    cached: Place,
    { flashSaleId, version: _, status, admittedUntil, remainingSeconds, ...message }: PlaceMessage,
  ): void {
    const isAdmitted = status === "admitted";
    // A message without an extension means that none is left, so the cached one must go.
    const { extensionSeconds: _used, ...kept } = cached;
    const place = mergePlace(cached, {
      ...kept,
      ...message,
      status: isAdmitted ? "admitted" : "waiting",
      admittedUntil: admittedUntil ?? null,
      remainingSeconds: remainingSeconds ?? null,
    });
    const key = queryKeys.place(flashSaleId);
    if (isAdmitted && cached.status !== "admitted") markChanged(key);
    this.#setIfChanged(key, cached, place);
  }

  /** The place has become an order. It is fetched first, so that the page does not offer the line in between. */
  async #servePlace(cached: Place): Promise<void> {
    const key = queryKeys.place(cached.flashSaleId);
    markChanged(key);
    markChanged(queryKeys.orders);
    await this.#queries.invalidateQueries({ queryKey: queryKeys.orders });
    const current = this.#queries.getQueryData<Place | null>(key);
    if (current?.ticket === cached.ticket) this.#queries.setQueryData(key, null);
  }

  /** The place has ended without an order. Its end stays visible, with its reason or its moment, until the buyer joins again. */
  #endPlace(cached: Place, status: Place["status"], message: PlaceMessage): void {
    const key = queryKeys.place(cached.flashSaleId);
    markChanged(key);
    const { reason, lapsedAt, leftAt } = message;
    this.#queries.setQueryData(key, {
      ...cached,
      status,
      position: 0,
      ahead: 0,
      estimatedWaitSeconds: null,
      admittedUntil: null,
      remainingSeconds: null,
      reason: reason ?? null,
      lapsedAt: lapsedAt ?? null,
      leftAt: leftAt ?? null,
    } satisfies Place);
    // A server that leaves out the moment gives it in its reply.
    if (status === "lapsed" && !lapsedAt) this.#refetchPlace(key);
  }

  #refetchPlace(key: ReturnType<typeof queryKeys.place>): void {
    markChanged(key);
    void this.#queries.invalidateQueries({ queryKey: key });
  }

  /** Each write renders every component that shows the state, so unchanged state is not written. */
  #setIfChanged<T>(key: readonly unknown[], before: T, after: T): void {
    if (before !== after) this.#queries.setQueryData(key, after);
  }

  #isOutdated(name: string, version: number): boolean {
    if (version < (this.#versions.get(name) ?? 0)) return true;
    if (this.#versions.size >= VERSIONS_MAX) this.#versions.clear();
    this.#versions.set(name, version);
    return false;
  }
}

/** The newest orders on the page of a sale, or the pages of all orders. */
type CachedOrders = { items: Order[] } | { pages: { items: Order[] }[] };

function patchList(list: CachedOrders, patchOrder: (order: Order) => Order): CachedOrders {
  if ("items" in list) return patchPage(list, patchOrder);
  const pages = list.pages.map((page) => patchPage(page, patchOrder));
  return pages.some((page, index) => page !== list.pages[index]) ? { ...list, pages } : list;
}

function patchPage<P extends { items: Order[] }>(page: P, patchOrder: (order: Order) => Order): P {
  const items = page.items.map(patchOrder);
  return items.some((item, index) => item !== page.items[index]) ? { ...page, items } : page;
}
