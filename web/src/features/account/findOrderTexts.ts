// The texts of the page that finds an order, which most buyers never load.

import { TextCatalogue } from "../../lib/i18n";
import en from "./texts/en.json";

type FindTextKey = keyof typeof en;

const texts = new TextCatalogue<FindTextKey>(en, {
  de: () => import("./texts/de.json"),
  ar: () => import("./texts/ar.json"),
});

export const { t } = texts;
/** Resolves when the texts of the current language are loaded; if that fails, they are English. */
export const ready: Promise<void> = texts.load().catch(() => {});
