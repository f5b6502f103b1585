// The texts of the pages that links of mails lead to, and of the mails on the account's page, which most buyers never load.

import { TextCatalogue } from "../../lib/i18n";
import en from "./texts/mail/en.json";

type MailTextKey = keyof typeof en;

const texts = new TextCatalogue<MailTextKey>(en, {
  de: () => import("./texts/mail/de.json"),
  ar: () => import("./texts/mail/ar.json"),
});

export const { t } = texts;
/** Resolves when the texts of the current language are loaded; if that fails, they are English. */
export const ready: Promise<void> = texts.load().catch(() => {});
