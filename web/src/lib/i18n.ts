// The language, and texts in it. A catalogue is a set of texts: the shop's are in `src/texts`, one file a language; the
// merchant's pages bring their own. English comes with the script; the others are fetched when asked for.

import { useSyncExternalStore } from "react";
import en from "../texts/en.json";

export type TextKey = keyof typeof en;
type Plural = Partial<Record<Intl.LDMLPluralRule, string>>;
type Texts<K extends string> = Record<K, string | Plural>;
type Values = Record<string, string | number>;

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
/** Where the texts of each language but English come from. */
type Sources = Record<Exclude<LanguageCode, "en">, () => Promise<{ default: unknown }>>;

const STORED = "doorbuster.language";
let current: LanguageCode = "en";
const listeners = new Set<() => void>();
const catalogues = new Set<{ load: (code: LanguageCode) => Promise<void> }>();

/** A set of texts that changes with the language. */
export class Catalogue<K extends string> {
  readonly #english: Texts<K>;
  readonly #sources: Sources;
  #texts: Texts<K>;

  constructor(english: Texts<K>, sources: Sources) {
    this.#english = english;
    this.#texts = english;
    this.#sources = sources;
    catalogues.add(this);
  }

  /** Makes these texts those of the language; for a catalogue that comes after the page has begun. */
  async load(code: LanguageCode = current): Promise<void> {
    this.#texts = code === "en" ? this.#english : ((await this.#sources[code]()).default as Texts<K>);
  }

  /** The text of a key. `{name}` is replaced by a value; `count` chooses among plural forms. */
  readonly t = (key: K, values: Values = {}): string =>
    fill(this.#texts[key] ?? this.#english[key], values, language());
}

/** The texts of the shop. */
export const { t } = new Catalogue<TextKey>(en, {
  de: () => import("../texts/de.json"),
  ar: () => import("../texts/ar.json"),
});

/** The first language that the buyer reads and we have. */
export function preferred(stored: string | null, wanted: readonly string[]): LanguageCode {
  const codes = [stored ?? "", ...wanted].map((tag) => tag.split("-")[0]?.toLowerCase() ?? "");
  return (codes.find((code) => code in LANGUAGES) as LanguageCode | undefined) ?? "en";
}

export async function startLanguage(): Promise<void> {
  let stored: string | null = null;
  try {
    stored = localStorage.getItem(STORED);
  } catch {
    // Without storage the browser's own language will do.
  }
  const code = preferred(stored, navigator.languages);
  // A text file that cannot be had must not keep anyone from buying: then it is English.
  await use(code).catch(() => use("en"));
}

export async function chooseLanguage(code: LanguageCode): Promise<void> {
  await use(code);
  try {
    localStorage.setItem(STORED, code);
  } catch {
    // It then lasts as long as this page.
  }
}

async function use(code: LanguageCode): Promise<void> {
  await Promise.all([...catalogues].map((catalogue) => catalogue.load(code)));
  current = code;
  document.documentElement.lang = code;
  document.documentElement.dir = LANGUAGES[code].direction;
  for (const listener of listeners) listener();
}

/** The language with the buyer's region, for dates, money and numbers: `en-GB` where the browser asks for it. */
export function language(): string {
  return regional(current, navigator.languages);
}

export function regional(code: string, wanted: readonly string[]): string {
  return wanted.find((tag) => tag === code || tag.startsWith(`${code}-`)) ?? code;
}

/** Draws a component again when the language changes. */
export function useLanguage(): LanguageCode {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
}

/** Fills one text in; apart, so that it can be tested without a page. */
export function fill(text: string | Plural, values: Values, code: string): string {
  const form =
    typeof text === "string"
      ? text
      : (text[new Intl.PluralRules(code).select(Number(values.count ?? 0))] ?? text.other ?? "");
  return form.replaceAll(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return typeof value === "number" ? new Intl.NumberFormat(code).format(value) : (value ?? whole);
  });
}
