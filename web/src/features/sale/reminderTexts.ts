// The texts about mails for a sale, which are loaded only where they are offered.

import { TextCatalogue } from "../../lib/i18n";
import en from "./texts/en.json";

type ReminderTextKey = keyof typeof en;

const texts = new TextCatalogue<ReminderTextKey>(en, {
  de: () => import("./texts/de.json"),
  ar: () => import("./texts/ar.json"),
});

export const { t } = texts;
/** Resolves when the texts of the current language are loaded; if that fails, they are English. */
export const ready: Promise<void> = texts.load().catch(() => {});
