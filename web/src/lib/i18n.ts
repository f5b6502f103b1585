// Texts live in `src/texts`, one file a language. English comes with the page; the others are fetched when asked for.

import { useSyncExternalStore } from "react";
import en from "../texts/en.json";

export type TextKey = keyof typeof en;
type Plural = Partial<Record<Intl.LDMLPluralRule, string>>;
export type Texts = Record<TextKey, string | Plural>;
type Values = Record<string, string | number>;

interface Language {
  name: string;
  direction: "ltr" | "rtl";
  load: () => Promise<{ default: unknown }>;
}

export const LANGUAGES = {
  en: { name: "English", direction: "ltr", load: async () => ({ default: en }) },
  de: { name: "Deutsch", direction: "ltr", load: () => import("../texts/de.json") },
  ar: { name: "العربية", direction: "rtl", load: () => import("../texts/ar.json") },
} satisfies Record<string, Language>;

export type LanguageCode = keyof typeof LANGUAGES;

const STORED = "doorbuster.language";
let current: LanguageCode = "en";
let texts: Texts = en;
const listeners = new Set<() => void>();

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
  texts = (await LANGUAGES[code].load()).default as Texts;
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

/** The text of a key. `{name}` is replaced by a value; `count` chooses among plural forms. */
export function t(key: TextKey, values: Values = {}): string {
  return fill(texts[key] ?? en[key], values, language());
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
