import { expect, test } from "vitest";
import type { AdminSale } from "../../../lib/api";
import { ApiError } from "../../../lib/errors";
import { unclaimedErrors } from "../../../lib/formErrors";
import { makeSale } from "../../../lib/testFixtures";
import { readServerErrors } from "../../lib/formDraft";
import {
  copiedSaleValues,
  type FormContext,
  isFieldLocked,
  isFieldShown,
  isPromised,
  newSaleValues,
  SALE_POINTERS,
  saleBody,
  saleChanges,
  saleValues,
  validateSale,
} from "./saleDraft";

const NOW = Date.parse("2026-11-21T09:00:00.000Z");

function sale(change: Partial<AdminSale> = {}): AdminSale {
  return {
    ...makeSale(),
    quantity: 100,
    available: 100,
    admitted: 0,
    status: "upcoming",
    startsAt: "2026-11-27T09:00:12.345Z",
    endsAt: "2026-11-27T10:00:12.345Z",
    admission: {
      type: "fifo",
      perSecond: 5,
      checkoutSeconds: 120,
      lineOpensSecondsBefore: 60,
      extensionSeconds: 30,
    },
    holdSeconds: 300,
    payment: "required",
    createdAt: "2026-11-20T09:00:00.000Z",
    ...change,
  };
}

function context(change: Partial<FormContext> = {}): FormContext {
  return { zone: "Europe/Berlin", locale: "en", nowMs: NOW, currency: "EUR", sale: null, ...change };
}

test("a new sale lacks only the values without a default", () => {
  const values = newSaleValues(context());
  expect(values).toMatchObject({ startsAt: "2026-11-22T10:00", endsAt: "2026-11-22T12:00" });
  expect(Object.keys(validateSale(values, context()))).toEqual(["productId", "slug", "price", "quantity"]);
});

test("an edit sends the changed fields only, and keeps moments to the millisecond", () => {
  const one = sale();
  const at = context({ sale: one });
  const begun = saleValues(one, at);
  expect(saleChanges(begun, begun, at)).toEqual({});
  expect(saleChanges({ ...begun, quantity: "120" }, begun, at)).toEqual({ quantity: 120 });
  expect(saleChanges({ ...begun, endsAt: "2026-11-27T12:00" }, begun, at)).toEqual({
    endsAt: "2026-11-27T11:00:00.000Z",
  });
  expect(saleChanges({ ...begun, payment: "none" }, begun, at)).toEqual({ payment: "none", holdSeconds: 0 });
  expect(saleChanges({ ...begun, admission: "open" }, begun, at)).toEqual({ admission: { type: "open" } });
  // Another admin has added units meanwhile; these stay.
  const meanwhile = context({ sale: sale({ quantity: 500 }) });
  expect(saleChanges({ ...begun, slug: "light" }, begun, meanwhile)).toEqual({ slug: "light" });
});

test("settings of the line that the form does not have stay", () => {
  const admission = { ...sale().admission, somethingNew: 30 } as unknown as AdminSale["admission"];
  const one = sale({ admission });
  const at = context({ sale: one });
  const begun = saleValues(one, at);
  expect(saleChanges({ ...begun, perSecond: "9" }, begun, at)).toEqual({
    admission: { ...admission, perSecond: 9 },
  });
});

test("a copy is in the future and has another slug", () => {
  const past = sale({ startsAt: "2026-07-01T08:00:00.000Z", endsAt: "2026-07-01T11:30:00.000Z" });
  expect(copiedSaleValues(past, "lamp-2", context())).toMatchObject({
    slug: "lamp-2",
    startsAt: "2026-11-22T10:00",
    endsAt: "2026-11-22T13:30",
  });
  expect(copiedSaleValues(sale(), "lamp-2", context())).toMatchObject({
    startsAt: "2026-11-27T10:00",
    price: "49.00",
  });
});

test("each number has its limits, and a skipped local time is an error", () => {
  const good = { ...saleValues(sale(), context()) };
  const wrong = (change: Partial<typeof good>, at = context()) =>
    Object.keys(validateSale({ ...good, ...change }, at));
  expect(wrong({})).toEqual([]);
  expect(wrong({ quantity: "0" })).toEqual(["quantity"]);
  expect(wrong({ quantity: "10000001" })).toEqual(["quantity"]);
  expect(wrong({ price: "49.999" })).toEqual(["price"]);
  expect(wrong({ slug: "No Good" })).toEqual(["slug"]);
  expect(wrong({ limitPerBuyer: "" })).toEqual(["limitPerBuyer"]);
  expect(wrong({ holdSeconds: "0" })).toEqual(["holdSeconds"]);
  expect(wrong({ holdSeconds: "0", payment: "none" })).toEqual([]);
  expect(wrong({ perSecond: "x", checkoutSeconds: "86401", lineOpensSecondsBefore: "-1" })).toHaveLength(3);
  expect(wrong({ perSecond: "x", admission: "open" })).toEqual([]);
  expect(wrong({ endsAt: "2026-11-27T10:00" })).toEqual(["endsAt"]);
  expect(wrong({ endsAt: "" })).toEqual(["endsAt"]);
  const spring = { startsAt: "2027-03-28T02:30", endsAt: "2027-03-28T04:00" };
  expect(validateSale({ ...good, ...spring }, context()).startsAt).toEqual({ key: "form.time_skipped" });
  expect(
    validateSale({ ...good, startsAt: "2026-11-01T10:00", endsAt: "2026-11-02T10:00" }, context()).endsAt,
  ).toEqual({
    key: "form.end_past",
  });
});

test("once buyers rely on a sale, its terms can only be extended", () => {
  const startMs = Date.parse(sale().startsAt);
  expect(isPromised(sale(), NOW)).toBe(false);
  expect(isPromised(sale(), startMs - 60_000)).toBe(true);
  expect(isPromised(sale({ admission: { type: "open" } }), startMs - 60_000)).toBe(false);
  expect(isPromised(sale({ waiting: 1 }), NOW)).toBe(true);

  const running = sale({ status: "active" });
  expect(isFieldLocked("price", running, startMs)).toBe(true);
  expect(isFieldLocked("quantity", running, startMs)).toBe(false);
  expect(isFieldLocked("quantity", sale({ status: "ended" }), startMs)).toBe(true);
  expect(isFieldLocked("price", null, startMs)).toBe(false);
  expect([isFieldLocked("payment", sale(), NOW), isFieldLocked("payment", null, NOW)]).toEqual([true, false]);
  const at = context({ sale: running, nowMs: startMs });
  const values = saleValues(running, at);
  expect(validateSale(values, at)).toEqual({});
  expect(validateSale({ ...values, quantity: "99", endsAt: "2026-11-27T10:30" }, at)).toMatchObject({
    quantity: { key: "form.quantity_less" },
    endsAt: { key: "form.end_earlier" },
  });
  expect(isFieldLocked("extensionSeconds", running, startMs)).toBe(false);
  expect(validateSale({ ...values, extensionSeconds: "31" }, at)).toEqual({});
  expect(validateSale({ ...values, extensionSeconds: "29" }, at)).toMatchObject({
    extensionSeconds: { key: "form.extension_less", values: { count: 30 } },
  });
});

test("the body has the price in minor units, and no hold without a payment", () => {
  const values = { ...saleValues(sale(), context()), price: "4,999", payment: "none" };
  const body = saleBody(values, context({ currency: "JPY" }));
  expect(body).toMatchObject({ price: { amount: 4999, currency: "JPY" }, payment: "none", holdSeconds: 0 });
});

test("how a sale is paid never changes, and an error of a field that is not shown is left for the form", () => {
  const error = new ApiError(new Response(null, { status: 422 }), {
    code: "invalid_body",
    errors: ["/holdSeconds", "/admission/perSecond", "/slug", "/nothing"].map((pointer) => ({
      pointer,
      detail: "",
    })),
  });
  const values = { ...newSaleValues(context()), payment: "none", admission: "open" };
  const { fields, claims } = readServerErrors(error, SALE_POINTERS, (field) => isFieldShown(field, values));
  expect(Object.keys(fields)).toEqual(["slug"]);
  expect(unclaimedErrors(error, claims).map(({ pointer }) => pointer)).toEqual([
    "/holdSeconds",
    "/admission/perSecond",
    "/nothing",
  ]);
});
