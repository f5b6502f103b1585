// The form of a product: its values, their validation, and the request body.

import type { components } from "../../../api/schema";
import type { Product } from "../../../lib/api";
import type { FieldErrors, FormValues, PointerMap } from "../../lib/formDraft";
import { countCharacters, formatPriceInput, parsePrice } from "../../lib/parseFields";

export type ProductField = "name" | "description" | "price" | "currency" | "category" | "imageUrl";
export type ProductValues = FormValues<ProductField>;
type NewProduct = components["schemas"]["NewProduct"];

const NAME_LEN_MAX = 200;
const DESCRIPTION_LEN_MAX = 10_000;
const CATEGORY_LEN_MAX = 100;
const URL_LEN_MAX = 2_000;

export function productValues(product: Product | null, currency: string, locale: string): ProductValues {
  if (product === null) return { name: "", description: "", price: "", currency, category: "", imageUrl: "" };
  return {
    name: product.name,
    description: product.description,
    price: formatPriceInput(product.price, locale),
    currency: product.price.currency,
    category: product.category ?? "",
    imageUrl: product.imageUrl ?? "",
  };
}

/** A picture is at `https://` or on this site: browsers do not load others here. `//host` would be another site. */
export function isImageUrl(text: string): boolean {
  if (countCharacters(text) > URL_LEN_MAX || /[\s\p{Cc}]/u.test(text)) return false;
  return /^\/(?![/\\])/.test(text) || /^https:\/\/[\p{L}\p{N}]/iu.test(text);
}

export function validateProduct(values: ProductValues, locale: string): FieldErrors<ProductField> {
  const errors: FieldErrors<ProductField> = {};
  const name = values.name.trim();
  if (name === "") errors.name = { key: "form.required" };
  else if (countCharacters(name) > NAME_LEN_MAX)
    errors.name = { key: "form.too_long", values: { most: NAME_LEN_MAX } };
  if (countCharacters(values.description) > DESCRIPTION_LEN_MAX) {
    errors.description = { key: "form.too_long", values: { most: DESCRIPTION_LEN_MAX } };
  }
  if (values.price.trim() === "") errors.price = { key: "form.required" };
  else if (parsePrice(values.price, values.currency, locale) === null)
    errors.price = { key: "form.price_wrong" };
  if (countCharacters(values.category.trim()) > CATEGORY_LEN_MAX) {
    errors.category = { key: "form.too_long", values: { most: CATEGORY_LEN_MAX } };
  }
  const imageUrl = values.imageUrl.trim();
  if (imageUrl !== "" && !isImageUrl(imageUrl)) {
    errors.imageUrl = { key: /^http:/i.test(imageUrl) ? "product.image_http" : "product.image_wrong" };
  }
  return errors;
}

/** The request body; the values must be valid. */
export function productBody(values: ProductValues, locale: string): NewProduct {
  const amount = parsePrice(values.price, values.currency, locale);
  if (amount === null) throw new Error("the values are not valid");
  return {
    name: values.name.trim(),
    description: values.description,
    price: { amount, currency: values.currency },
    category: values.category.trim() || null,
    imageUrl: values.imageUrl.trim() || null,
  };
}

/** The fields that differ from the product. */
export function productChanges(values: ProductValues, product: Product, locale: string): Partial<NewProduct> {
  const before = productBody(productValues(product, "", locale), locale);
  const changed = Object.entries(productBody(values, locale)).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name as keyof NewProduct]),
  );
  return Object.fromEntries(changed);
}

export const PRODUCT_POINTERS: PointerMap<ProductField> = {
  "/name": { field: "name", error: { key: "product.name_wrong" } },
  "/description": { field: "description", error: { detail: "" } },
  "/price": { field: "price", error: { detail: "" } },
  "/price/amount": { field: "price", error: { key: "form.price_wrong" } },
  "/price/currency": { field: "currency", error: { key: "product.currency_wrong" } },
  "/category": { field: "category", error: { detail: "" } },
  "/imageUrl": { field: "imageUrl", error: { key: "product.image_wrong" } },
};
