// The texts of the admin pages, which buyers do not load.

import { TextCatalogue } from "../../lib/i18n";
import en from "../texts/en";

export type AdminTextKey = keyof typeof en;

const texts = new TextCatalogue<AdminTextKey>(en, {
  de: () => import("../texts/de"),
  ar: () => import("../texts/ar"),
});

export const { t } = texts;
/** Resolves when the texts of the current language are loaded; if that fails, they are English. */
export const ready: Promise<void> = texts.load().catch(() => {});
