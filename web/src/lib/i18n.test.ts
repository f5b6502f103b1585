import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { formatText, LANGUAGES, preferredLanguage, regionalLocale } from "./i18n";

type Loaded = Record<string, string | Record<string, string>>;
const placeholders = (text: string) => new Set(text.match(/\{\w+\}/g));

/** All texts of a language: the shop's, and the admin's with their area before the key. */
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
        expect(placeholders(text), `${code} ${key}`).toEqual(placeholders(original as string));
      } else {
        expect(Object.keys(text).sort(), `${code} ${key}`).toEqual([...plurals].sort());
      }
    }
  }
});

test("the buyer's choice comes first, then the languages of the browser", () => {
  expect(preferredLanguage("de", ["ar"])).toBe("de");
  expect(preferredLanguage(null, ["fr-CA", "ar-EG", "en"])).toBe("ar");
  expect(preferredLanguage("xx", ["fr"])).toBe("en");
});

test("dates and money follow the region of the reader, texts only the language", () => {
  expect(regionalLocale("en", ["de-DE", "en-GB", "en"])).toBe("en-GB");
  expect(regionalLocale("ar", ["en-GB"])).toBe("ar");
});

test("numbers and plural forms follow the language", () => {
  expect(formatText({ one: "{count} buyer", other: "{count} buyers" }, { count: 1 }, "en")).toBe("1 buyer");
  expect(formatText({ one: "{count} buyer", other: "{count} buyers" }, { count: 1200 }, "en")).toBe(
    "1,200 buyers",
  );
  expect(formatText("{count} von {all}", { count: 1200, all: "vielen" }, "de")).toBe("1.200 von vielen");
  expect(formatText("no {such} value", {}, "en")).toBe("no {such} value");
});
