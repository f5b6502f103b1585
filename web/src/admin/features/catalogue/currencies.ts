// The currencies of prices: the codes of ISO 4217 for currencies in circulation. Codes that are out of use (ANG, BGN, CUC, HRK, SLL, ZWL)
// are missing, because the server refuses them; a product that has one keeps it.

const CODES =
  "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP " +
  "CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD " +
  "JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN " +
  "NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN " +
  "SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

/** The names of new currencies, which browsers may not know yet. */
const NEW_NAMES: Record<string, string> = { XCG: "Caribbean guilder", ZWG: "Zimbabwean gold" };

/** The codes with their names; the list includes `also` even if it is not one of them. */
export function listCurrencies(locale: string, also: string): { code: string; name: string }[] {
  const names = new Intl.DisplayNames(locale, { type: "currency", fallback: "none" });
  return [...new Set([...CODES.split(" "), also])]
    .sort()
    .map((code) => ({ code, name: names.of(code) ?? NEW_NAMES[code] ?? code }));
}
