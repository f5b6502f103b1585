// The merchant's texts. They are apart from the shop's, so that no buyer waits for them.

import { TextCatalogue } from "../../lib/i18n";
import en from "../texts/en";

export type AdminKey = keyof typeof en;

const texts = new TextCatalogue<AdminKey>(en, {
  de: () => import("../texts/de"),
  ar: () => import("../texts/ar"),
});

export const { t } = texts;
/** When the texts are there in the language that the page is in. Without its file it is English. */
export const ready: Promise<void> = texts.load().catch(() => {});
