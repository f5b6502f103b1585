import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import en from "../texts/en.json";
import { fill, LANGUAGES, preferred, regional } from "./i18n";

const folder = new URL("../texts/", import.meta.url);
type Loaded = Record<string, string | Record<string, string>>;
const load = (file: string) => JSON.parse(readFileSync(new URL(file, folder), "utf8")) as Loaded;
const holes = (text: string) => new Set(text.match(/\{\w+\}/g));

test("every language has every text, with the same values in it and all plural forms", () => {
  const files = readdirSync(folder);
  expect(files.sort()).toEqual(
    Object.keys(LANGUAGES)
      .map((code) => `${code}.json`)
      .sort(),
  );
  for (const file of files) {
    const texts = load(file);
    expect(Object.keys(texts).sort(), file).toEqual(Object.keys(en).sort());
    const plurals = new Intl.PluralRules(file.slice(0, 2)).resolvedOptions().pluralCategories;
    for (const [key, text] of Object.entries(texts)) {
      const english = (en as Loaded)[key] ?? "";
      if (typeof text === "string") {
        expect(typeof english, `${file} ${key}`).toBe("string");
        expect(holes(text), `${file} ${key}`).toEqual(holes(english as string));
      } else {
        expect(Object.keys(text).sort(), `${file} ${key}`).toEqual([...plurals].sort());
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
