// The language of the page and its texts. A text catalogue is a set of texts: the shop's are in `src/texts`, one file per language;
// the admin pages have their own. The script contains English; the other languages are loaded on demand.

import { useSyncExternalStore } from "react";
import en from "../texts/en.json";

export type TextKey = keyof typeof en;
type PluralForms = Partial<Record<Intl.LDMLPluralRule, string>>;
type TextsByKey<K extends string> = Record<K, string | PluralForms>;
type TextValues = Record<string, string | number>;

interface Language {
  name: string;
  direction: "ltr" | "rtl";
}

export const LANGUAGES = {
  en: { name: "English", direction: "ltr" },
  de: { name: "Deutsch", direction: "ltr" },
  ar: { name: "العربية", direction: "rtl" },
} satisfies Record<string, Language>;

export type LanguageCode = keyof typeof LANGUAGES;
/** Loads the texts of each language except English. */
type TextLoaders = Record<Exclude<LanguageCode, "en">, () => Promise<{ default: unknown }>>;

const STORED = "doorbuster.language";
let current: LanguageCode = "en";
const listeners = new Set<() => void>();
const catalogues = new Set<{ load: (code: LanguageCode) => Promise<void> }>();

export class TextCatalogue<K extends string> {
  readonly #english: TextsByKey<K>;
  readonly #loaders: TextLoaders;
  #texts: TextsByKey<K>;

  constructor(english: TextsByKey<K>, loaders: TextLoaders) {
    this.#english = english;
    this.#texts = english;
    this.#loaders = loaders;
    catalogues.add(this);
  }

  /** Loads the texts of a language; without an argument those of the current one, for a catalogue that is created late. */
  async load(code: LanguageCode = current): Promise<void> {
    this.#texts = code === "en" ? this.#english : ((await this.#loaders[code]()).default as TextsByKey<K>);
  }

  /** The text of a key. `{name}` is replaced by a value; `count` selects the plural form. */
  readonly t = (key: K, values: TextValues = {}): string =>
    formatText(this.#texts[key] ?? this.#english[key], values, locale());
}

export const { t } = new TextCatalogue<TextKey>(en, {
  de: () => import("../texts/de.json"),
  ar: () => import("../texts/ar.json"),
});

/** The stored language, else the first language of the browser that the shop has. */
export function preferredLanguage(stored: string | null, wanted: readonly string[]): LanguageCode {
  const codes = [stored ?? "", ...wanted].map((tag) => tag.split("-")[0]?.toLowerCase() ?? "");
  return (codes.find((code) => code in LANGUAGES) as LanguageCode | undefined) ?? "en";
}

export async function startLanguage(): Promise<void> {
  let stored: string | null = null;
  try {
    stored = localStorage.getItem(STORED);
  } catch {
    // Storage is forbidden: the browser's language applies.
  }
  const code = preferredLanguage(stored, navigator.languages);
  // When the texts fail to load, the page is English: buying must still work.
  await switchLanguage(code).catch(() => switchLanguage("en"));
}

export async function chooseLanguage(code: LanguageCode): Promise<void> {
  await switchLanguage(code);
  try {
    localStorage.setItem(STORED, code);
  } catch {
    // Storage is forbidden: the choice lasts until the page is closed.
  }
}

async function switchLanguage(code: LanguageCode): Promise<void> {
  await Promise.all([...catalogues].map((catalogue) => catalogue.load(code)));
  current = code;
  document.documentElement.lang = code;
  document.documentElement.dir = LANGUAGES[code].direction;
  for (const listener of listeners) listener();
}

/** The language with the buyer's region, such as `en-GB`, for dates, money and numbers. */
export function locale(): string {
  return regionalLocale(current, navigator.languages);
}

export function regionalLocale(code: string, wanted: readonly string[]): string {
  return wanted.find((tag) => tag === code || tag.startsWith(`${code}-`)) ?? code;
}

/** Renders a component again when the language changes. */
export function useLanguage(): LanguageCode {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
}

/** Inserts values into a text and selects its plural form. Pure, so that tests need no page. */
export function formatText(text: string | PluralForms, values: TextValues, code: string): string {
  const form =
    typeof text === "string"
      ? text
      : (text[new Intl.PluralRules(code).select(Number(values.count ?? 0))] ?? text.other ?? "");
  return form.replaceAll(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return typeof value === "number" ? new Intl.NumberFormat(code).format(value) : (value ?? whole);
  });
}
