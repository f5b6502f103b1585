// The slug of a sale: its name in addresses.

const SLUG_LEN_MAX = 52;
const ID = /^(?:[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** A slug must not look like an id: the API accepts both in the same place. */
export function isSlug(text: string): boolean {
  return /^[a-z0-9-]{1,64}$/.test(text) && !ID.test(text);
}

/** A slug from the name of the product that is not in `taken`. */
export function suggestSlug(name: string, taken: ReadonlySet<string>): string {
  const ascii = name
    .toLowerCase()
    .replaceAll("ß", "ss")
    .replaceAll("ä", "ae")
    .replaceAll("ö", "oe")
    .replaceAll("ü", "ue")
    .normalize("NFKD")
    .replaceAll(/\p{Mark}/gu, "");
  const shortened = ascii
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replace(/^-/, "")
    .slice(0, SLUG_LEN_MAX);
  const base = shortened.replace(/-$/, "") || "sale";
  const slug = isSlug(base) ? base : `sale-${base}`;
  for (let n = 2; taken.has(slug) && n < 1_000; n++) {
    if (!taken.has(`${slug}-${n}`)) return `${slug}-${n}`;
  }
  return slug;
}
