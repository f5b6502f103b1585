// A product as it stands in its form: all texts. From a product to these and back, and what is wrong with them.

import type { components } from "../../../api/schema";
import type { Pointers, Values, Wrongs } from "../../lib/draft";
import type { Product } from "../../lib/queries";
import { lengthOf, parsePrice, typedPrice } from "../../lib/typed";

export type ProductField = "name" | "description" | "price" | "currency" | "category" | "imageUrl";
export type ProductValues = Values<ProductField>;
type NewProduct = components["schemas"]["NewProduct"];

const NAME_LEN_MAX = 200;
const DESCRIPTION_LEN_MAX = 10_000;
const CATEGORY_LEN_MAX = 100;
const URL_LEN_MAX = 2_000;

export function valuesOf(product: Product | null, currency: string, locale: string): ProductValues {
  if (product === null) return { name: "", description: "", price: "", currency, category: "", imageUrl: "" };
  return {
    name: product.name,
    description: product.description,
    price: typedPrice(product.price, locale),
    currency: product.price.currency,
    category: product.category ?? "",
    imageUrl: product.imageUrl ?? "",
  };
}

/** Where a picture can be: on the web, or on this site. `//host` would be another site. */
export function isAddress(text: string): boolean {
  if (lengthOf(text) > URL_LEN_MAX || /[\s\p{Cc}]/u.test(text)) return false;
  return /^\/(?![/\\])/.test(text) || /^https?:\/\/[\p{L}\p{N}]/iu.test(text);
}

export function check(values: ProductValues, locale: string): Wrongs<ProductField> {
  const wrongs: Wrongs<ProductField> = {};
  const name = values.name.trim();
  if (name === "") wrongs.name = { key: "form.required" };
  else if (lengthOf(name) > NAME_LEN_MAX)
    wrongs.name = { key: "form.too_long", values: { most: NAME_LEN_MAX } };
  if (lengthOf(values.description) > DESCRIPTION_LEN_MAX) {
    wrongs.description = { key: "form.too_long", values: { most: DESCRIPTION_LEN_MAX } };
  }
  if (values.price.trim() === "") wrongs.price = { key: "form.required" };
  else if (parsePrice(values.price, values.currency, locale) === null)
    wrongs.price = { key: "form.price_wrong" };
  if (lengthOf(values.category.trim()) > CATEGORY_LEN_MAX) {
    wrongs.category = { key: "form.too_long", values: { most: CATEGORY_LEN_MAX } };
  }
  const imageUrl = values.imageUrl.trim();
  if (imageUrl !== "" && !isAddress(imageUrl)) wrongs.imageUrl = { key: "product.image_wrong" };
  return wrongs;
}

/** The form as the server takes it. Only for values that `check` finds nothing wrong with. */
export function bodyOf(values: ProductValues, locale: string): NewProduct {
  const amount = parsePrice(values.price, values.currency, locale);
  if (amount === null) throw new Error("unchecked");
  return {
    name: values.name.trim(),
    description: values.description,
    price: { amount, currency: values.currency },
    category: values.category.trim() || null,
    imageUrl: values.imageUrl.trim() || null,
  };
}

/** What is different from the product. */
export function editOf(values: ProductValues, product: Product, locale: string): Partial<NewProduct> {
  const before = bodyOf(valuesOf(product, "", locale), locale);
  const changed = Object.entries(bodyOf(values, locale)).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name as keyof NewProduct]),
  );
  return Object.fromEntries(changed);
}

export const POINTERS: Pointers<ProductField> = {
  "/name": { field: "name", wrong: { key: "product.name_wrong" } },
  "/description": { field: "description", wrong: { words: "" } },
  "/price": { field: "price", wrong: { words: "" } },
  "/price/amount": { field: "price", wrong: { key: "form.price_wrong" } },
  "/price/currency": { field: "currency", wrong: { key: "product.currency_wrong" } },
  "/category": { field: "category", wrong: { words: "" } },
  "/imageUrl": { field: "imageUrl", wrong: { key: "product.image_wrong" } },
};
