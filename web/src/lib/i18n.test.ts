import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fill, LANGUAGES, preferred, regional } from "./i18n";

type Loaded = Record<string, string | Record<string, string>>;
const holes = (text: string) => new Set(text.match(/\{\w+\}/g));

/** The texts of each language: the shop's, and the merchant's with the area before the key. */
function textsOf(code: string): Loaded {
  const read = (path: string) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as Loaded;
  const areas = readdirSync(new URL("../admin/texts/en", import.meta.url));
  const admin = areas.flatMap((area) =>
    Object.entries(read(`../admin/texts/${code}/${area}`)).map(([key, text]) => [`${area} ${key}`, text]),
  );
  return { ...read(`../texts/${code}.json`), ...Object.fromEntries(admin) };
}

test("every language has every text, with the same values in it and all plural forms", () => {
  const english = textsOf("en");
  for (const code of Object.keys(LANGUAGES)) {
    const texts = textsOf(code);
    expect(Object.keys(texts).sort(), code).toEqual(Object.keys(english).sort());
    const plurals = new Intl.PluralRules(code).resolvedOptions().pluralCategories;
    for (const [key, text] of Object.entries(texts)) {
      const original = english[key] ?? "";
      if (typeof text === "string") {
        expect(typeof original, `${code} ${key}`).toBe("string");
        expect(holes(text), `${code} ${key}`).toEqual(holes(original as string));
      } else {
        expect(Object.keys(text).sort(), `${code} ${key}`).toEqual([...plurals].sort());
      }
    }
  }
});

test("the buyer's choice counts first, then what the browser asks for", () => {
  expect(preferred("de", ["ar"])).toBe("de");
  expect(preferred(null, ["fr-CA", "ar-EG", "en"])).toBe("ar");
  expect(preferred("xx", ["fr"])).toBe("en");
});

test("dates and money follow the region of the reader, the words only the language", () => {
  expect(regional("en", ["de-DE", "en-GB", "en"])).toBe("en-GB");
  expect(regional("ar", ["en-GB"])).toBe("ar");
});

test("numbers are written and counted in the language", () => {
  expect(fill({ one: "{count} buyer", other: "{count} buyers" }, { count: 1 }, "en")).toBe("1 buyer");
  expect(fill({ one: "{count} buyer", other: "{count} buyers" }, { count: 1200 }, "en")).toBe("1,200 buyers");
  expect(fill("{count} von {all}", { count: 1200, all: "vielen" }, "de")).toBe("1.200 von vielen");
  expect(fill("no {such} value", {}, "en")).toBe("no {such} value");
});
