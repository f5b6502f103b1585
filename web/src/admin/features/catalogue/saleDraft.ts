// A sale as it stands in its form: all texts. From a sale to these and back, and what is wrong with them. Pure: time, zone and
// language are arguments.

import type { components } from "../../../api/schema";
import type { Money } from "../../../lib/money";
import type { Pointers, Values, Wrong, Wrongs } from "../../lib/draft";
import type { AdminSale } from "../../lib/queries";
import { isSlug, parseCount, parsePrice, typedPrice } from "../../lib/typed";
import { momentsAt, sameTimeLater, wallClock } from "../../lib/zone";

export type SaleField =
  | "productId"
  | "slug"
  | "price"
  | "quantity"
  | "limitPerBuyer"
  | "startsAt"
  | "endsAt"
  | "payment"
  | "holdSeconds"
  | "admission"
  | "perSecond"
  | "checkoutSeconds"
  | "lineOpensSecondsBefore"
  | "extensionSeconds";
export type SaleValues = Values<SaleField>;
type NewSale = components["schemas"]["NewSale"];
type SaleEdit = components["schemas"]["SaleEdit"];
type Fifo = Extract<components["schemas"]["AdmissionJson"], { type: "fifo" }>;

/** The bounds of the law. */
const QUANTITY_MAX = 10_000_000;
const LIMIT_PER_BUYER_MAX = 1_000_000;
const WINDOW_S_MAX = 86_400;
const PER_SECOND_MAX = 100_000;
const LINE_OPENS_S_MAX = 4_294_967_295;

/** Where and when a form is filled in, and for what. */
export interface Scene {
  zone: string;
  locale: string;
  nowMs: number;
  /** Of the product that is chosen; `null` while none is. */
  currency: string | null;
  /** The sale that is edited. */
  sale: AdminSale | null;
}

/** What a new sale begins with: tomorrow at ten, for two hours, with a line. */
export function blank({ zone, nowMs }: Scene): SaleValues {
  const tomorrow = wallClock(nowMs + 86_400_000, zone).slice(0, 10);
  return {
    productId: "",
    slug: "",
    price: "",
    quantity: "",
    limitPerBuyer: "1",
    startsAt: `${tomorrow}T10:00`,
    endsAt: `${tomorrow}T12:00`,
    payment: "required",
    holdSeconds: "300",
    admission: "fifo",
    perSecond: "5",
    checkoutSeconds: "120",
    lineOpensSecondsBefore: "900",
    extensionSeconds: "120",
  };
}

/** A sale as its form shows it. */
export function valuesOf(sale: AdminSale, scene: Scene): SaleValues {
  const start = blank(scene);
  const fifo = sale.admission.type === "fifo" ? sale.admission : null;
  return {
    productId: sale.product.id,
    slug: sale.slug,
    price: typedPrice(sale.price, scene.locale),
    quantity: String(sale.quantity),
    limitPerBuyer: String(sale.limitPerBuyer),
    startsAt: wallClock(Date.parse(sale.startsAt), scene.zone),
    endsAt: wallClock(Date.parse(sale.endsAt), scene.zone),
    payment: sale.payment,
    holdSeconds: sale.payment === "none" ? start.holdSeconds : String(sale.holdSeconds),
    admission: sale.admission.type,
    perSecond: fifo ? String(fifo.perSecond) : start.perSecond,
    checkoutSeconds: fifo ? String(fifo.checkoutSeconds) : start.checkoutSeconds,
    lineOpensSecondsBefore: fifo ? String(fifo.lineOpensSecondsBefore) : start.lineOpensSecondsBefore,
    extensionSeconds: fifo ? String(fifo.extensionSeconds ?? 0) : start.extensionSeconds,
  };
}

/** A new sale like an old one: at the same time of day, as long, under another name. */
export function copyOf(sale: AdminSale, slug: string, scene: Scene): SaleValues {
  const startsMs = Date.parse(sale.startsAt);
  const lastsMs = Date.parse(sale.endsAt) - startsMs;
  const nextMs = startsMs > scene.nowMs ? startsMs : sameTimeLater(startsMs, scene.nowMs, scene.zone);
  return {
    ...valuesOf(sale, scene),
    slug,
    startsAt: wallClock(nextMs, scene.zone),
    endsAt: wallClock(nextMs + lastsMs, scene.zone),
  };
}

/** A moment of the form; what the merchant did not touch stays what it was, to the millisecond. */
function momentOf(values: SaleValues, name: "startsAt" | "endsAt", { zone, sale }: Scene): number | null {
  if (sale !== null && wallClock(Date.parse(sale[name]), zone) === values[name])
    return Date.parse(sale[name]);
  return momentsAt(values[name], zone)[0] ?? null;
}

/** An hour that comes twice in that night: the first one is meant, and the form says so. */
export function comesTwice(values: SaleValues, name: "startsAt" | "endsAt", { zone }: Scene): boolean {
  return momentsAt(values[name], zone).length > 1;
}

/** What is left of the form once it is read; `null` where it cannot be. */
export interface Read {
  price: Money | null;
  quantity: number | null;
  limitPerBuyer: number | null;
  startsMs: number | null;
  endsMs: number | null;
  /** 0 sells at once. */
  holdS: number | null;
  fifo: { [name in keyof Omit<Fifo, "type">]-?: number | null } | null;
}

export function read(values: SaleValues, scene: Scene): Read {
  const amount = scene.currency === null ? null : parsePrice(values.price, scene.currency, scene.locale);
  const isFifo = values.admission === "fifo";
  return {
    price: amount === null || scene.currency === null ? null : { amount, currency: scene.currency },
    quantity: parseCount(values.quantity),
    limitPerBuyer: parseCount(values.limitPerBuyer),
    startsMs: momentOf(values, "startsAt", scene),
    endsMs: momentOf(values, "endsAt", scene),
    holdS: values.payment === "none" ? 0 : parseCount(values.holdSeconds),
    fifo: isFifo
      ? {
          perSecond: parseCount(values.perSecond),
          checkoutSeconds: parseCount(values.checkoutSeconds),
          lineOpensSecondsBefore: parseCount(values.lineOpensSecondsBefore),
          extensionSeconds: parseCount(values.extensionSeconds),
        }
      : null,
  };
}

const isIn = (value: number | null, least: number, most: number) =>
  value !== null && value >= least && value <= most;

export function check(values: SaleValues, scene: Scene): Wrongs<SaleField> {
  const wrongs: Wrongs<SaleField> = {};
  const require = (holds: boolean, name: SaleField, wrong: Wrong) => {
    if (!holds) wrongs[name] ??= values[name].trim() === "" ? { key: "form.required" } : wrong;
  };
  const range = (value: number | null, name: SaleField, least: number, most: number) =>
    require(isIn(value, least, most), name, { key: "form.range", values: { least, most } });
  const { price, quantity, limitPerBuyer, startsMs, endsMs, holdS, fifo } = read(values, scene);
  require(values.productId !== "", "productId", { key: "form.required" });
  require(isSlug(values.slug.trim()), "slug", { key: "form.slug_wrong" });
  require(price !== null || (scene.currency === null && values.price !== ""), "price", {
    key: "form.price_wrong",
  });
  range(quantity, "quantity", 1, QUANTITY_MAX);
  range(limitPerBuyer, "limitPerBuyer", 1, LIMIT_PER_BUYER_MAX);
  require(startsMs !== null, "startsAt", { key: "form.time_skipped" });
  require(endsMs !== null, "endsAt", { key: "form.time_skipped" });
  require(startsMs === null || endsMs === null || startsMs < endsMs, "endsAt", { key: "form.end_wrong" });
  require(endsMs === null || endsMs > scene.nowMs, "endsAt", { key: "form.end_past" });
  if (values.payment !== "none") range(holdS, "holdSeconds", 1, WINDOW_S_MAX);
  if (fifo !== null) {
    range(fifo.perSecond, "perSecond", 1, PER_SECOND_MAX);
    range(fifo.checkoutSeconds, "checkoutSeconds", 1, WINDOW_S_MAX);
    range(fifo.lineOpensSecondsBefore, "lineOpensSecondsBefore", 0, LINE_OPENS_S_MAX);
    range(fifo.extensionSeconds, "extensionSeconds", 0, WINDOW_S_MAX);
  }
  const { sale } = scene;
  if (sale !== null && isPromised(sale, scene.nowMs)) {
    require((quantity ?? 0) >= sale.quantity, "quantity", {
      key: "form.quantity_less",
      values: { count: sale.quantity },
    });
    require((endsMs ?? 0) >= Date.parse(sale.endsAt), "endsAt", { key: "form.end_earlier" });
    const extensionS = sale.admission.type === "fifo" ? (sale.admission.extensionSeconds ?? 0) : 0;
    require(fifo === null || (fifo.extensionSeconds ?? 0) >= extensionS, "extensionSeconds", {
      key: "form.extension_less",
      values: { count: extensionS },
    });
  }
  return wrongs;
}

/** Whether buyers may have acted on what the sale says: its line or itself is open, or somebody has something of it. */
export function isPromised(sale: AdminSale, nowMs: number): boolean {
  const beforeS = sale.admission.type === "fifo" ? sale.admission.lineOpensSecondsBefore : 0;
  const isOpen = nowMs >= Date.parse(sale.startsAt) - beforeS * 1000;
  return isOpen || sale.waiting > 0 || sale.available < sale.quantity;
}

/** What may still change once buyers rely on a sale: what only adds to it. */
const FREE: readonly SaleField[] = ["quantity", "endsAt", "payment", "holdSeconds", "extensionSeconds"];

export function isLocked(name: SaleField, sale: AdminSale | null, nowMs: number): boolean {
  if (sale === null) return false;
  if (sale.status === "ended" || sale.status === "closed") return true;
  return isPromised(sale, nowMs) && !FREE.includes(name);
}

/** The form as the server takes it. Only for values that `check` finds nothing wrong with. */
export function bodyOf(values: SaleValues, scene: Scene): NewSale {
  const { price, quantity, limitPerBuyer, startsMs, endsMs, holdS, fifo } = read(values, scene);
  if (price === null || quantity === null || startsMs === null || endsMs === null)
    throw new Error("unchecked");
  // What a line has beside the fields of this form stays as it is.
  const before: Partial<Fifo> = scene.sale?.admission.type === "fifo" ? scene.sale.admission : {};
  return {
    productId: values.productId,
    slug: values.slug.trim(),
    price,
    quantity,
    startsAt: new Date(startsMs).toISOString(),
    endsAt: new Date(endsMs).toISOString(),
    limitPerBuyer: limitPerBuyer ?? 1,
    payment: values.payment === "none" ? "none" : "required",
    holdSeconds: holdS,
    admission:
      fifo === null
        ? { type: "open" }
        : {
            ...before,
            type: "fifo",
            perSecond: fifo.perSecond ?? 1,
            checkoutSeconds: fifo.checkoutSeconds ?? 1,
            lineOpensSecondsBefore: fifo.lineOpensSecondsBefore ?? 0,
            extensionSeconds: fifo.extensionSeconds ?? 0,
          },
  };
}

/** What is different from how the form began; what the merchant did not touch is not sent, so that it undoes nobody else's work. */
export function editOf(values: SaleValues, begun: SaleValues, scene: Scene): SaleEdit {
  if (scene.sale === null) throw new Error("there is no sale to edit");
  const before = bodyOf(begun, { ...scene, currency: scene.sale.price.currency });
  const after = bodyOf(values, scene);
  const changed = Object.entries(after).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name as keyof NewSale]),
  );
  return Object.fromEntries(changed) as SaleEdit;
}

const range = (field: SaleField, least: number, most: number) => ({
  field,
  wrong: { key: "form.range" as const, values: { least, most } },
});
const of = (field: SaleField, wrong: Wrong) => ({ field, wrong });
const theirs = (field: SaleField) => ({ field, wrong: { words: "" } });

/** What the server's pointers are about. Where it can mean several things, its own words are shown. */
export const POINTERS: Pointers<SaleField> = {
  "/productId": of("productId", { key: "form.product_gone" }),
  "/slug": of("slug", { key: "form.slug_wrong" }),
  "/price": theirs("price"),
  "/price/amount": of("price", { key: "form.price_wrong" }),
  "/price/currency": of("price", { key: "form.currency_differs" }),
  "/quantity": range("quantity", 1, QUANTITY_MAX),
  "/startsAt": theirs("startsAt"),
  "/endsAt": of("endsAt", { key: "form.end_wrong" }),
  "/limitPerBuyer": range("limitPerBuyer", 1, LIMIT_PER_BUYER_MAX),
  "/holdSeconds": range("holdSeconds", 0, WINDOW_S_MAX),
  "/payment": theirs("payment"),
  "/admission": theirs("admission"),
  "/admission/type": theirs("admission"),
  "/admission/perSecond": range("perSecond", 1, PER_SECOND_MAX),
  "/admission/checkoutSeconds": range("checkoutSeconds", 1, WINDOW_S_MAX),
  "/admission/lineOpensSecondsBefore": range("lineOpensSecondsBefore", 0, LINE_OPENS_S_MAX),
  "/admission/extensionSeconds": range("extensionSeconds", 0, WINDOW_S_MAX),
};
