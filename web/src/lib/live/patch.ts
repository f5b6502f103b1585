// What is heard over the socket goes into the cache of the pages here, and nowhere else. A word that is older than what is known
// is dropped; of what a word does not tell in full, the server is asked.

import type { QueryClient } from "@tanstack/react-query";
import type { Order, Place, Sale } from "../api";
import { keys } from "../queries";
import { isOlder, newerPlace, turned } from "./fresh";
import type { InventoryWord, OrderWord, PlaceWord, StatusWord } from "./words";

/** More sales and orders than this nobody follows: then it begins anew, and the cache's own guards hold. */
const KNOWN_MAX = 500;

export class Patches {
  readonly #queries: QueryClient;
  /** The highest version heard of a place or an order, which carry none in the cache. */
  readonly #versions = new Map<string, number>();

  constructor(queries: QueryClient) {
    this.#queries = queries;
  }

  inventory({ flashSaleId, ...sums }: InventoryWord): void {
    this.#sale(flashSaleId, sums);
  }

  status({ flashSaleId, ...status }: StatusWord): void {
    this.#sale(flashSaleId, status);
  }

  place(word: PlaceWord): void {
    if (this.#isOld(`place:${word.flashSaleId}`, word.version)) return;
    const key = keys.place(word.flashSaleId);
    const known = this.#queries.getQueryData<Place | null>(key);
    if (known && known.ticket > word.ticket) return;
    if (word.status === "waiting" || word.status === "admitted") {
      if (known?.ticket === word.ticket) this.#move(known, word);
      // A place that was taken in another tab: its receipt is told only to those who ask.
      else this.#askAgain(key);
    } else if (known?.ticket === word.ticket) {
      void this.#end(known, word.status === "served");
    } else if (known === undefined) {
      turned(key);
    }
  }

  order(word: OrderWord): void {
    if (this.#isOld(`order:${word.id}`, word.version)) return;
    let isKnown = false;
    let hasChanged = false;
    const renewed = (order: Order): Order => {
      if (order.id !== word.id) return order;
      isKnown = true;
      if (order.status === word.status && (order.expiresAt ?? undefined) === word.expiresAt) return order;
      hasChanged = true;
      return { ...order, status: word.status, expiresAt: word.expiresAt ?? order.expiresAt ?? null };
    };
    const one = this.#queries.getQueryData<Order>(keys.order(word.id));
    if (one) this.#put(keys.order(word.id), one, renewed(one));
    const lists = this.#queries.getQueriesData<OrderList>({ queryKey: keys.orders });
    for (const [key, list] of lists) if (list) this.#put(key, list, inList(list, renewed));
    if (isKnown && !hasChanged) return;
    turned(keys.order(word.id));
    turned(keys.orders);
    if (isKnown) void this.#queries.invalidateQueries({ queryKey: keys.order(word.id) });
    else void this.#queries.invalidateQueries({ queryKey: keys.orders });
  }

  /** Asks for everything that is being looked at: the safety net below all that is told. */
  async askAll(): Promise<void> {
    await Promise.all([
      this.#queries.invalidateQueries({ queryKey: keys.everySale }),
      this.#queries.invalidateQueries({ queryKey: keys.own }),
    ]);
  }

  #sale(id: string, said: Partial<Sale> & Pick<Sale, "version" | "serverTime">): void {
    for (const [key, sale] of this.#queries.getQueriesData<Sale>({ queryKey: keys.everySale })) {
      if (sale?.id === id && !isOlder(said, sale)) this.#queries.setQueryData(key, { ...sale, ...said });
    }
  }

  #move(known: Place, { flashSaleId, version: _, status, admittedUntil, ...word }: PlaceWord): void {
    const isTurn = status === "admitted";
    // Where the word has no extension, none is left: what was known of it must not stay.
    const { extensionSeconds: _used, ...kept } = known;
    const place = newerPlace(known, {
      ...kept,
      ...word,
      status: isTurn ? "admitted" : "waiting",
      admittedUntil: admittedUntil ?? null,
    });
    const key = keys.place(flashSaleId);
    if (isTurn && known.status !== "admitted") turned(key);
    this.#put(key, known, place);
  }

  /** A place is over. Where it became an order, the order comes first, so that nobody is shown the way into the line again. */
  async #end(known: Place, isOrder: boolean): Promise<void> {
    const key = keys.place(known.flashSaleId);
    turned(key);
    turned(keys.orders);
    if (isOrder) await this.#queries.invalidateQueries({ queryKey: keys.orders });
    const now = this.#queries.getQueryData<Place | null>(key);
    if (now?.ticket === known.ticket) this.#queries.setQueryData(key, null);
  }

  #askAgain(key: ReturnType<typeof keys.place>): void {
    turned(key);
    void this.#queries.invalidateQueries({ queryKey: key });
  }

  /** Only what has changed is put: each write wakes everyone who looks at it. */
  #put<T>(key: readonly unknown[], before: T, after: T): void {
    if (before !== after) this.#queries.setQueryData(key, after);
  }

  #isOld(name: string, version: number): boolean {
    if (version < (this.#versions.get(name) ?? 0)) return true;
    if (this.#versions.size >= KNOWN_MAX) this.#versions.clear();
    this.#versions.set(name, version);
    return false;
  }
}

/** The newest orders beside a sale, or the pages of all orders. */
type OrderList = { items: Order[] } | { pages: { items: Order[] }[] };

function inList(list: OrderList, renewed: (order: Order) => Order): OrderList {
  if ("items" in list) return inPage(list, renewed);
  const pages = list.pages.map((page) => inPage(page, renewed));
  return pages.some((page, index) => page !== list.pages[index]) ? { ...list, pages } : list;
}

function inPage<P extends { items: Order[] }>(page: P, renewed: (order: Order) => Order): P {
  const items = page.items.map(renewed);
  return items.some((item, index) => item !== page.items[index]) ? { ...page, items } : page;
}
