//! The texts of the catalogue, checked where they come in. They are stored as given: escaping is left to the page that shows them.

use sale::{Currency, Money};
use std::fmt;
use uuid::Uuid;

/// Why a text or an amount is not accepted, as its author reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CatalogueTextError(pub &'static str);

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(String);

        impl TryFrom<String> for $name {
            type Error = CatalogueTextError;
            fn try_from(text: String) -> Result<Self, CatalogueTextError> {
                let is_valid: fn(&str) -> bool = $check;
                if is_valid(&text) { Ok(Self(text)) } else { Err(CatalogueTextError($rule)) }
            }
        }

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            #[must_use]
            pub fn into_text(self) -> String {
                self.0
            }
        }
    };
}

/// Characters of a product's name.
pub const NAME_LEN_MAX: usize = 200;
/// Characters of a product's description.
pub const DESCRIPTION_LEN_MAX: usize = 10_000;
/// Characters of what is noted about an endpoint of webhooks.
pub const WEBHOOK_DESCRIPTION_LEN_MAX: usize = 500;
/// Characters of a category.
pub const CATEGORY_LEN_MAX: usize = 100;
/// Characters of a picture's address.
pub const IMAGE_URL_LEN_MAX: usize = 2_000;

checked_text!(
    ProductName,
    |text| has_length(text, 1, NAME_LEN_MAX) && is_one_line(text) && !text.trim().is_empty(),
    "1 to 200 characters on one line, not only blanks"
);
checked_text!(
    /// A product's description; it may have line breaks and may be empty.
    Description,
    |text| has_length(text, 0, DESCRIPTION_LEN_MAX) && is_printable(text),
    "at most 10000 characters, without control characters other than line breaks and tabs"
);
checked_text!(
    Category,
    |text| has_length(text, 1, CATEGORY_LEN_MAX) && is_one_line(text) && !text.trim().is_empty(),
    "1 to 100 characters on one line, not only blanks"
);
checked_text!(
    /// Where a product's picture is: an https address, or a path of this site. The pages' content security policy blocks any other.
    ImageUrl,
    |text| has_length(text, 1, IMAGE_URL_LEN_MAX) && is_address(text),
    "an https:// address, or a path that starts with '/', of at most 2000 characters and without blanks"
);
checked_text!(
    /// What a merchant notes about an endpoint of webhooks.
    WebhookDescription,
    |text| has_length(text, 0, WEBHOOK_DESCRIPTION_LEN_MAX),
    "at most 500 characters"
);
checked_text!(
    /// A sale's name in addresses.
    Slug,
    is_slug,
    "1 to 64 of a-z, 0-9 and '-', and not an id"
);

impl Description {
    /// No description.
    #[must_use]
    pub fn empty() -> Self {
        Self(String::new())
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Slug {
    /// A slug made of a product's name: what of it is Latin letters and digits, in lower case. `n` above 1 is appended.
    #[must_use]
    pub fn from_name(name: &str, n: u32) -> Self {
        // Shorter than a slug may be, so that `n` can be appended.
        const LEN_MAX: usize = 52;
        let mut slug = String::new();
        for character in name.chars().map(|character| character.to_ascii_lowercase()) {
            if slug.len() == LEN_MAX {
                break;
            }
            if character.is_ascii_alphanumeric() {
                slug.push(character);
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        let slug = slug.trim_end_matches('-');
        let slug = if slug.is_empty() { "sale" } else { slug };
        let prefix = if is_slug(slug) { "" } else { "sale-" };
        let suffix = if n > 1 { format!("-{n}") } else { String::new() };
        Self(format!("{prefix}{slug}{suffix}"))
    }
}

/// A price in minor units.
///
/// # Errors
/// When the amount is negative or too large to be added up.
pub fn check_price(minor: i64) -> Result<i64, CatalogueTextError> {
    if (0..=sale::policy::UNIT_PRICE_MINOR_MAX).contains(&minor) {
        Ok(minor)
    } else {
        Err(CatalogueTextError("a whole number of minor units, 0 to 100000000000"))
    }
}

/// The currencies of new prices: the codes of ISO 4217 that are in use as money, without metals, funds and tests, as of November 2026.
/// A row that has another one stays readable. The merchant's form offers the same (`web/src/admin/features/catalogue/currencies.ts`).
const CURRENCIES: &str = "\
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF \
    CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ \
    GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP \
    LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR \
    PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC \
    SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF \
    XPF YER ZAR ZMW ZWG";

/// A currency that is in use as money.
///
/// # Errors
/// When the code is none of those.
pub fn parse_currency(code: &str) -> Result<Currency, CatalogueTextError> {
    let known = CURRENCIES.split(' ').find(|known| *known == code);
    known
        .and_then(|known| known.parse().ok())
        .ok_or(CatalogueTextError("an ISO 4217 code of a currency in use, such as EUR"))
}

/// An amount in whole units of its currency: 4999 is `49.99` of EUR and `4999` of JPY. Digits and a point only.
#[must_use]
pub fn format_decimal(money: Money) -> String {
    let known = iso_currency::Currency::from_code(money.currency.as_str());
    let digits = usize::from(known.and_then(iso_currency::Currency::exponent).unwrap_or(0));
    let sign = if money.minor < 0 { "-" } else { "" };
    let digits_text = format!("{:0width$}", money.minor.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = digits_text.split_at(digits_text.len() - digits);
    if digits == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// The amount in whole units of this currency, exactly: `49.99` or `49` of EUR. `None` when it is no such amount, has more decimals
/// than the currency, or is too large.
#[must_use]
pub fn parse_decimal(text: &str, currency: Currency) -> Option<Money> {
    let known = iso_currency::Currency::from_code(currency.as_str());
    let decimals = usize::from(known.and_then(iso_currency::Currency::exponent).unwrap_or(0));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    // Zeros at the end say nothing: a column of a database may have four decimals.
    let significant = fraction.trim_end_matches('0');
    if !is_number(whole) || !is_number(fraction) || significant.len() > decimals {
        return None;
    }
    let minor = format!("{whole}{significant:0<decimals$}").parse().ok()?;
    Some(Money { minor, currency })
}

/// Hundredths of a currency's whole unit in its minor units: 100 is 100 cents or 1 yen. `None` when that is not a whole number, or too large.
#[must_use]
pub fn rescale_hundredths(hundredths: i64, currency: Currency) -> Option<i64> {
    let known = iso_currency::Currency::from_code(currency.as_str());
    match known.and_then(iso_currency::Currency::exponent).unwrap_or(0) {
        digits @ 0..2 => {
            let divisor = 10_i64.pow(2 - u32::from(digits));
            (hundredths % divisor == 0).then_some(hundredths / divisor)
        }
        digits => hundredths.checked_mul(10_i64.checked_pow(u32::from(digits) - 2)?),
    }
}

/// Whether two prices can be compared.
#[must_use]
pub fn same_currency(one: Money, other: Money) -> bool {
    one.currency == other.currency
}

fn has_length(text: &str, min: usize, max: usize) -> bool {
    // A character is at most four bytes: a huge text is not counted.
    text.len() <= max * 4 && (min..=max).contains(&text.chars().count())
}

fn is_one_line(text: &str) -> bool {
    !text.chars().any(|character| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}'))
}

fn is_printable(text: &str) -> bool {
    !text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r' | '\t'))
}

fn is_address(text: &str) -> bool {
    let is_clean = !text.chars().any(|character| character.is_control() || character.is_whitespace());
    // `//host` and `/\host` are other sites to a browser.
    let is_path = text.starts_with('/') && !text.starts_with("//") && !text.starts_with("/\\");
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let host = text.split("://").nth(1).unwrap_or_default();
    let is_web = lower.starts_with("https://") && host.chars().next().is_some_and(char::is_alphanumeric);
    is_clean && (is_path || is_web)
}

fn is_slug(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(good) && Uuid::try_parse(text).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_taken_as_given_unless_they_cannot_be_shown() {
        for good in ["Böller", "<script>alert(1)</script>", "'; DROP TABLE products; --", &"ü".repeat(200)]
        {
            assert_eq!(ProductName::try_from(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in ["", "  ", "two\nlines", "nul\0", "esc\u{1b}[0m", &"ü".repeat(201), &"x".repeat(100_000)]
        {
            assert!(ProductName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(Description::try_from("two\nlines\tand a tab".to_owned()).is_ok());
        assert!(Description::try_from("bell\u{7}".to_owned()).is_err());
    }

    #[test]
    fn an_amount_has_the_digits_of_its_currency() {
        for (minor, code, expected) in [
            (4999, "EUR", "49.99"),
            (5, "EUR", "0.05"),
            (0, "EUR", "0.00"),
            (4999, "JPY", "4999"),
            (4999, "KWD", "4.999"),
            (-5, "EUR", "-0.05"),
            (i64::MAX, "EUR", "92233720368547758.07"),
            (i64::MIN, "JPY", "-9223372036854775808"),
        ] {
            let money = Money { minor, currency: code.parse().unwrap() };
            assert_eq!(format_decimal(money), expected, "{minor} {code}");
        }
    }

    #[test]
    fn an_amount_in_whole_units_is_read_exactly_or_not_at_all() {
        for (text, code, minor) in [
            ("49.99", "EUR", 4999),
            ("49.9", "EUR", 4990),
            ("49", "EUR", 4900),
            ("49.9900", "USD", 4999),
            ("0", "EUR", 0),
            ("4999", "JPY", 4999),
            ("4999.00", "JPY", 4999),
            ("4.999", "KWD", 4999),
        ] {
            let currency = code.parse().unwrap();
            assert_eq!(parse_decimal(text, currency), Some(Money { minor, currency }), "{text} {code}");
        }
        for text in ["", ".", "49.", ".5", "-1", "+1", "1e3", "1,5", "49.999", " 1", "99999999999999999999"] {
            assert_eq!(parse_decimal(text, "EUR".parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn hundredths_are_minor_units_where_the_currency_has_them() {
        for (hundredths, code, expected) in [
            (4999, "EUR", Some(4999)),
            (4900, "JPY", Some(49)),
            (4999, "JPY", None),
            (4999, "KWD", Some(49_990)),
            (i64::MAX, "KWD", None),
        ] {
            assert_eq!(
                rescale_hundredths(hundredths, code.parse().unwrap()),
                expected,
                "{hundredths} {code}"
            );
        }
    }

    #[test]
    fn a_picture_is_on_the_web_or_on_this_site() {
        for good in ["/img/a.png", "https://example.com/a.png?x=1", "HTTPS://example.com"] {
            assert!(ImageUrl::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a.png",
            "javascript:alert(1)",
            "//evil.com/a",
            "/\\evil.com",
            "https://",
            "https:// x",
            "http://example.com/a.png",
            "data:x",
        ] {
            assert!(ImageUrl::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slug_is_never_an_id() {
        for bad in
            ["", "A", "a b", "ä", "0190f3a4-0000-7000-8000-000000000000", &"a".repeat(65), &"0".repeat(32)]
        {
            assert!(Slug::try_from((*bad).to_owned()).is_err(), "{bad}");
        }
        assert_eq!(Slug::from_name("The  Big: Drop!", 1).as_str(), "the-big-drop");
        assert_eq!(Slug::from_name("The  Big: Drop!", 3).as_str(), "the-big-drop-3");
        assert_eq!(Slug::from_name("日本", 1).as_str(), "sale");
        for name in [&"0".repeat(32), &"x".repeat(500), "0190f3a4-0000-7000-8000-000000000000"] {
            for n in [1, u32::MAX] {
                assert!(is_slug(Slug::from_name(name, n).as_str()), "{name}");
            }
        }
    }

    #[test]
    fn only_money_is_a_currency() {
        for good in ["EUR", "JPY", "USD", "BHD", "XOF", "CHF", "XCG"] {
            assert_eq!(parse_currency(good).unwrap().as_str(), good);
        }
        for bad in
            ["", " ", "EU", "eur", "ABC", "XXX", "XTS", "XAU", "€€€", "EURO", "EUR ", "HRK", "BGN", "ANG"]
        {
            assert!(parse_currency(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_decimals_of_every_currency_are_known() {
        for code in CURRENCIES.split(' ') {
            let known = iso_currency::Currency::from_code(code);
            assert!(known.is_some_and(|known| known.exponent().is_some()), "{code}");
        }
    }

    #[test]
    fn the_form_offers_the_currencies_that_the_server_takes() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/src/admin/features/catalogue/currencies.ts");
        let form = std::fs::read_to_string(path).unwrap();
        let list = form.split_once("const CODES =").and_then(|(_, rest)| rest.split_once(';')).unwrap().0;
        let offered: Vec<&str> =
            list.split(|c: char| !c.is_ascii_uppercase()).filter(|code| !code.is_empty()).collect();
        assert_eq!(offered, CURRENCIES.split(' ').collect::<Vec<_>>());
    }
}
