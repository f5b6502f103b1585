// The form of a sale: its values, their validation, and the request body. Pure: time, time zone and locale are arguments.

import type { components } from "../../../api/schema";
import type { AdminSale } from "../../../lib/api";
import type { Money } from "../../../lib/money";
import { isSaleOver } from "../../../lib/saleStatus";
import type { FieldError, FieldErrors, FormValues, PointerMap } from "../../lib/formDraft";
import { formatPriceInput, parseCount, parsePrice } from "../../lib/parseFields";
import { isSlug } from "./slug";
import { fromLocalTime, nextSameTime, toLocalTime } from "./timeZone";

export type SaleField =
  | "productId"
  | "slug"
  | "price"
  | "quantity"
  | "limitPerBuyer"
  | "limitBy"
  | "requireConfirmedEmail"
  | "startsAt"
  | "endsAt"
  | "payment"
  | "holdSeconds"
  | "admission"
  | "perSecond"
  | "checkoutSeconds"
  | "lineOpensSecondsBefore"
  | "extensionSeconds";
export type SaleValues = FormValues<SaleField>;
export type NewSale = components["schemas"]["NewSale"];
export type SaleEdit = components["schemas"]["SaleEdit"];
type Fifo = Extract<components["schemas"]["AdmissionJson"], { type: "fifo" }>;

/** The limits of the domain rules. */
const QUANTITY_MAX = 10_000_000;
const LIMIT_PER_BUYER_MAX = 1_000_000;
const WINDOW_S_MAX = 86_400;
const PER_SECOND_MAX = 100_000;
const LINE_OPENS_S_MAX = 4_294_967_295;

/** What the values of the form depend on. */
export interface FormContext {
  zone: string;
  locale: string;
  nowMs: number;
  /** The currency of the selected product; `null` without one. */
  currency: string | null;
  /** The edited sale; `null` for a new one. */
  sale: AdminSale | null;
}

/** The values of a new sale: tomorrow at ten, for two hours, with a line. */
export function newSaleValues({ zone, nowMs }: FormContext): SaleValues {
  const tomorrow = toLocalTime(nowMs + 86_400_000, zone).slice(0, 10);
  return {
    productId: "",
    slug: "",
    price: "",
    quantity: "",
    limitPerBuyer: "1",
    limitBy: "account",
    requireConfirmedEmail: "no",
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

export function saleValues(sale: AdminSale, context: FormContext): SaleValues {
  const defaults = newSaleValues(context);
  const fifo = sale.admission.type === "fifo" ? sale.admission : null;
  return {
    productId: sale.product.id,
    slug: sale.slug,
    price: formatPriceInput(sale.price, context.locale),
    quantity: String(sale.quantity),
    limitPerBuyer: String(sale.limitPerBuyer),
    limitBy: sale.limitBy,
    requireConfirmedEmail: sale.requireConfirmedEmail ? "yes" : "no",
    startsAt: toLocalTime(Date.parse(sale.startsAt), context.zone),
    endsAt: toLocalTime(Date.parse(sale.endsAt), context.zone),
    payment: sale.payment,
    holdSeconds: sale.payment === "none" ? defaults.holdSeconds : String(sale.holdSeconds),
    admission: sale.admission.type,
    perSecond: fifo ? String(fifo.perSecond) : defaults.perSecond,
    checkoutSeconds: fifo ? String(fifo.checkoutSeconds) : defaults.checkoutSeconds,
    lineOpensSecondsBefore: fifo ? String(fifo.lineOpensSecondsBefore) : defaults.lineOpensSecondsBefore,
    extensionSeconds: fifo ? String(fifo.extensionSeconds ?? 0) : defaults.extensionSeconds,
  };
}

/** The values of a copy: the same time of day and length, with another slug. */
export function copiedSaleValues(sale: AdminSale, slug: string, context: FormContext): SaleValues {
  const startsMs = Date.parse(sale.startsAt);
  const lastsMs = Date.parse(sale.endsAt) - startsMs;
  const nextMs = startsMs > context.nowMs ? startsMs : nextSameTime(startsMs, context.nowMs, context.zone);
  return {
    ...saleValues(sale, context),
    slug,
    startsAt: toLocalTime(nextMs, context.zone),
    endsAt: toLocalTime(nextMs + lastsMs, context.zone),
  };
}

/** A moment of the form. An unchanged value keeps the moment of the sale, to the millisecond. */
function parseMoment(
  values: SaleValues,
  name: "startsAt" | "endsAt",
  { zone, sale }: FormContext,
): number | null {
  if (sale !== null && toLocalTime(Date.parse(sale[name]), zone) === values[name])
    return Date.parse(sale[name]);
  return fromLocalTime(values[name], zone)[0] ?? null;
}

/** Whether the local time occurs twice, when the clocks go back. The form then uses the first moment and shows a hint. */
export function isAmbiguousTime(
  values: SaleValues,
  name: "startsAt" | "endsAt",
  { zone }: FormContext,
): boolean {
  return fromLocalTime(values[name], zone).length > 1;
}

/** The values of the form as numbers and moments; `null` where a value is not valid. */
export interface ParsedSale {
  price: Money | null;
  quantity: number | null;
  limitPerBuyer: number | null;
  startsMs: number | null;
  endsMs: number | null;
  /** 0: the sale has no payment. */
  holdS: number | null;
  fifo: { [name in keyof Omit<Fifo, "type">]-?: number | null } | null;
}

export function parseSale(values: SaleValues, context: FormContext): ParsedSale {
  const amount =
    context.currency === null ? null : parsePrice(values.price, context.currency, context.locale);
  const isFifo = values.admission === "fifo";
  return {
    price: amount === null || context.currency === null ? null : { amount, currency: context.currency },
    quantity: parseCount(values.quantity),
    limitPerBuyer: parseCount(values.limitPerBuyer),
    startsMs: parseMoment(values, "startsAt", context),
    endsMs: parseMoment(values, "endsAt", context),
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

export function validateSale(values: SaleValues, context: FormContext): FieldErrors<SaleField> {
  const errors: FieldErrors<SaleField> = {};
  const require = (isValid: boolean, name: SaleField, error: FieldError) => {
    if (!isValid) errors[name] ??= values[name].trim() === "" ? { key: "form.required" } : error;
  };
  const range = (value: number | null, name: SaleField, least: number, most: number) =>
    require(isIn(value, least, most), name, { key: "form.range", values: { least, most } });
  const { price, quantity, limitPerBuyer, startsMs, endsMs, holdS, fifo } = parseSale(values, context);
  require(values.productId !== "", "productId", { key: "form.required" });
  require(isSlug(values.slug.trim()), "slug", { key: "form.slug_wrong" });
  require(price !== null || (context.currency === null && values.price !== ""), "price", {
    key: "form.price_wrong",
  });
  range(quantity, "quantity", 1, QUANTITY_MAX);
  range(limitPerBuyer, "limitPerBuyer", 1, LIMIT_PER_BUYER_MAX);
  require(startsMs !== null, "startsAt", { key: "form.time_skipped" });
  require(endsMs !== null, "endsAt", { key: "form.time_skipped" });
  require(startsMs === null || endsMs === null || startsMs < endsMs, "endsAt", { key: "form.end_wrong" });
  require(endsMs === null || endsMs > context.nowMs, "endsAt", { key: "form.end_past" });
  if (values.payment !== "none") range(holdS, "holdSeconds", 1, WINDOW_S_MAX);
  if (fifo !== null) {
    range(fifo.perSecond, "perSecond", 1, PER_SECOND_MAX);
    range(fifo.checkoutSeconds, "checkoutSeconds", 1, WINDOW_S_MAX);
    range(fifo.lineOpensSecondsBefore, "lineOpensSecondsBefore", 0, LINE_OPENS_S_MAX);
    range(fifo.extensionSeconds, "extensionSeconds", 0, WINDOW_S_MAX);
  }
  const { sale } = context;
  if (sale !== null && isPromised(sale, context.nowMs)) {
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
  return errors;
}

/** Whether buyers may rely on the terms of the sale: the sale or its line is open, or a buyer has a place or units. */
export function isPromised(sale: AdminSale, nowMs: number): boolean {
  const beforeS = sale.admission.type === "fifo" ? sale.admission.lineOpensSecondsBefore : 0;
  const isOpen = nowMs >= Date.parse(sale.startsAt) - beforeS * 1000;
  return isOpen || sale.waiting > 0 || sale.available < sale.quantity;
}

/** The fields of the line, and the time of a hold, are on the form only where the sale has a line or a payment. */
export function isFieldShown(field: SaleField, values: SaleValues): boolean {
  if (field === "holdSeconds") return values.payment !== "none";
  return !LINE_FIELDS.includes(field) || values.admission === "fifo";
}

const LINE_FIELDS: readonly SaleField[] = [
  "perSecond",
  "checkoutSeconds",
  "lineOpensSecondsBefore",
  "extensionSeconds",
];

/** The fields that may change after that, because a change can only add to the terms. */
const ALWAYS_EDITABLE: readonly SaleField[] = ["quantity", "endsAt", "holdSeconds", "extensionSeconds"];

/** How a sale is paid, who counts as one buyer and who may buy at all is a part of what was announced. */
const NEVER_EDITABLE: readonly SaleField[] = ["payment", "limitBy", "requireConfirmedEmail"];

export function isFieldLocked(name: SaleField, sale: AdminSale | null, nowMs: number): boolean {
  if (sale === null) return false;
  if (isSaleOver(sale) || NEVER_EDITABLE.includes(name)) return true;
  return isPromised(sale, nowMs) && !ALWAYS_EDITABLE.includes(name);
}

/** The request body; the values must be valid. */
export function saleBody(values: SaleValues, context: FormContext): NewSale {
  const { price, quantity, limitPerBuyer, startsMs, endsMs, holdS, fifo } = parseSale(values, context);
  if (price === null || quantity === null || startsMs === null || endsMs === null || holdS === null)
    throw new Error("the values are not valid");
  // Keeps settings of the line that this form does not have.
  const before: Partial<Fifo> = context.sale?.admission.type === "fifo" ? context.sale.admission : {};
  return {
    productId: values.productId,
    slug: values.slug.trim(),
    price,
    quantity,
    startsAt: new Date(startsMs).toISOString(),
    endsAt: new Date(endsMs).toISOString(),
    limitPerBuyer: limitPerBuyer ?? 1,
    limitBy: values.limitBy === "mailbox" ? "mailbox" : "account",
    requireConfirmedEmail: values.requireConfirmedEmail === "yes",
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

/** The fields that the merchant has changed. Sending only these keeps the changes of other admins. */
export function saleChanges(values: SaleValues, initial: SaleValues, context: FormContext): SaleEdit {
  if (context.sale === null) throw new Error("there is no sale to edit");
  const before = saleBody(initial, { ...context, currency: context.sale.price.currency });
  const after = saleBody(values, context);
  const changed = Object.entries(after).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name as keyof NewSale]),
  );
  return Object.fromEntries(changed) as SaleEdit;
}

const rangeError = (field: SaleField, least: number, most: number) => ({
  field,
  error: { key: "form.range" as const, values: { least, most } },
});
const fieldError = (field: SaleField, error: FieldError) => ({ field, error });
/** Shows the detail that the server sent. */
const serverDetail = (field: SaleField) => ({ field, error: { detail: "" } });

/** A pointer whose error can have several causes shows the detail of the server. */
export const SALE_POINTERS: PointerMap<SaleField> = {
  "/productId": fieldError("productId", { key: "form.product_gone" }),
  "/slug": fieldError("slug", { key: "form.slug_wrong" }),
  "/price": serverDetail("price"),
  "/price/amount": fieldError("price", { key: "form.price_wrong" }),
  "/price/currency": fieldError("price", { key: "form.currency_differs" }),
  "/quantity": rangeError("quantity", 1, QUANTITY_MAX),
  "/startsAt": serverDetail("startsAt"),
  "/endsAt": fieldError("endsAt", { key: "form.end_wrong" }),
  "/limitPerBuyer": rangeError("limitPerBuyer", 1, LIMIT_PER_BUYER_MAX),
  "/limitBy": serverDetail("limitBy"),
  "/requireConfirmedEmail": serverDetail("requireConfirmedEmail"),
  "/holdSeconds": rangeError("holdSeconds", 0, WINDOW_S_MAX),
  "/payment": serverDetail("payment"),
  "/admission": serverDetail("admission"),
  "/admission/type": serverDetail("admission"),
  "/admission/perSecond": rangeError("perSecond", 1, PER_SECOND_MAX),
  "/admission/checkoutSeconds": rangeError("checkoutSeconds", 1, WINDOW_S_MAX),
  "/admission/lineOpensSecondsBefore": rangeError("lineOpensSecondsBefore", 0, LINE_OPENS_S_MAX),
  "/admission/extensionSeconds": rangeError("extensionSeconds", 0, WINDOW_S_MAX),
};
