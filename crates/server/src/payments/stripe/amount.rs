//! Amounts as Stripe counts them. Pure: money in minor units of ISO 4217 goes in, an integer for a request comes out, and back. It never
//! rounds: an amount that Stripe cannot express is an error.
//!
//! The rules and the table are those of <https://docs.stripe.com/currencies>: most currencies have the minor units of ISO 4217; ISK and UGX
//! have no decimals and are counted in hundredths; MGA has two decimals by ISO 4217 and none at Stripe; amounts with three decimals end in 0.

use sale::{Currency, Money};

/// Digits of an amount: eight, and twelve for IDR.
const AMOUNT_MAX: i64 = 99_999_999;
const AMOUNT_MAX_IDR: i64 = 999_999_999_999;

/// Currencies in which buyers may pay, without those of [`SPECIAL`]. ANG and BGN, which have no coins any more, are not among them.
const USUAL: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BIF", "BMD", "BND",
    "BOB", "BRL", "BSD", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CLP", "CNY", "COP", "CRC", "CVE", "CZK",
    "DJF", "DKK", "DOP", "DZD", "EGP", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GIP", "GMD", "GNF", "GTQ",
    "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "JMD", "JPY", "KES", "KGS", "KHR", "KMF", "KRW",
    "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "MAD", "MDL", "MKD", "MMK", "MNT", "MOP", "MUR", "MVR",
    "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "PAB", "PEN", "PGK", "PHP", "PKR",
    "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SEK", "SGD", "SHP", "SLE", "SOS",
    "SRD", "SZL", "THB", "TJS", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "USD", "UYU", "UZS", "VND", "VUV",
    "WST", "XAF", "XCD", "XCG", "XOF", "XPF", "YER", "ZAR", "ZMW",
];

/// Currencies that Stripe counts in another way than ISO 4217, or not in each of its units.
const SPECIAL: &[(&str, UnitRule)] = &[
    ("ISK", UnitRule::TimesHundred),
    ("UGX", UnitRule::TimesHundred),
    ("MGA", UnitRule::WholeUnits),
    ("BHD", UnitRule::EndsInZero),
    ("JOD", UnitRule::EndsInZero),
    ("KWD", UnitRule::EndsInZero),
    ("OMR", UnitRule::EndsInZero),
    ("TND", UnitRule::EndsInZero),
];

/// The least that may be charged in a currency that the account is paid out in, in Stripe's units. Of other currencies Stripe converts the
/// amount first, and nobody else knows the minimum.
const MINIMA: &[(&str, i64)] = &[
    ("USD", 50),
    ("AED", 200),
    ("AUD", 50),
    ("BRL", 50),
    ("CAD", 50),
    ("CHF", 50),
    ("CZK", 1_500),
    ("DKK", 250),
    ("EUR", 50),
    ("GBP", 30),
    ("HKD", 400),
    ("HUF", 17_500),
    ("INR", 50),
    ("JPY", 50),
    ("MXN", 1_000),
    ("MYR", 200),
    ("NOK", 300),
    ("NZD", 50),
    ("PLN", 200),
    ("RON", 200),
    ("SEK", 300),
    ("SGD", 50),
    ("THB", 1_000),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnitRule {
    /// The minor units of ISO 4217.
    Iso,
    /// ISO 4217 has no decimals, Stripe has two, which are 0.
    TimesHundred,
    /// ISO 4217 has two decimals, Stripe has none.
    WholeUnits,
    /// Three decimals, of which the last is 0.
    EndsInZero,
}

/// Why an amount cannot be paid through Stripe. The texts are shown to merchants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("Stripe takes no payments in {0}")]
    UnknownCurrency(Currency),
    #[error("Stripe takes no fractions of {0}: the amount must be a whole number")]
    Fraction(Currency),
    #[error("Stripe takes amounts of {0} whose last decimal is 0")]
    LastDecimal(Currency),
    #[error(
        "it is less than Stripe's minimum for a payment in {currency}, which is {minimum} in minor units"
    )]
    BelowMinimum {
        currency: Currency,
        /// In minor units of ISO 4217.
        minimum: i64,
    },
    #[error(
        "it is more than Stripe's maximum for a payment in {currency}, which is {maximum} in minor units"
    )]
    AboveMaximum {
        currency: Currency,
        /// In minor units of ISO 4217.
        maximum: i64,
    },
}

/// An amount in Stripe's units, within its limits for one payment.
///
/// # Errors
/// When Stripe would refuse it, as far as that can be known without asking.
pub fn to_charge_amount(money: Money) -> Result<i64, AmountError> {
    let currency = money.currency;
    let amount = to_stripe_units(money)?;
    let minimum =
        MINIMA.iter().find(|(code, _)| *code == currency.as_str()).map_or(1, |(_, minimum)| *minimum);
    if amount < minimum {
        return Err(AmountError::BelowMinimum { currency, minimum: to_minor(minimum, currency)?.max(1) });
    }
    let maximum = if currency.as_str() == "IDR" { AMOUNT_MAX_IDR } else { AMOUNT_MAX };
    if amount > maximum {
        return Err(AmountError::AboveMaximum { currency, maximum: to_minor(maximum, currency)? });
    }
    Ok(amount)
}

/// An amount in Stripe's units, without a limit: for refunds, which have no minimum.
///
/// # Errors
/// When Stripe has no such amount.
pub fn to_stripe_units(money: Money) -> Result<i64, AmountError> {
    let Money { minor, currency } = money;
    match unit_rule(currency)? {
        UnitRule::Iso => Ok(minor),
        UnitRule::TimesHundred => {
            let maximum = AMOUNT_MAX / 100;
            minor.checked_mul(100).ok_or(AmountError::AboveMaximum { currency, maximum })
        }
        UnitRule::WholeUnits if minor % 100 == 0 => Ok(minor / 100),
        UnitRule::WholeUnits => Err(AmountError::Fraction(currency)),
        UnitRule::EndsInZero if minor % 10 == 0 => Ok(minor),
        UnitRule::EndsInZero => Err(AmountError::LastDecimal(currency)),
    }
}

/// An amount of Stripe's as money. Stripe never sends one that cannot be expressed, except fractions of currencies without decimals, which
/// are cut off.
///
/// # Errors
/// When the currency is none of Stripe's.
pub fn from_stripe_units(amount: i64, currency: Currency) -> Result<Money, AmountError> {
    Ok(Money { minor: to_minor(amount, currency)?, currency })
}

/// Checks that one unit, and the most units that an order may have, can be paid. A price of 0 is not paid at all.
///
/// # Errors
/// When Stripe would refuse a payment of the sale.
pub fn check_unit_price(unit: Money, quantity_max: u32) -> Result<(), AmountError> {
    if unit.minor == 0 {
        return Ok(());
    }
    to_charge_amount(unit)?;
    let most = unit.checked_mul(quantity_max.max(1));
    // What does not fit an integer is above each maximum.
    let most = most.unwrap_or(Money { minor: i64::MAX - i64::MAX % 1_000, ..unit });
    to_charge_amount(most).map(|_| ())
}

fn to_minor(amount: i64, currency: Currency) -> Result<i64, AmountError> {
    Ok(match unit_rule(currency)? {
        UnitRule::Iso | UnitRule::EndsInZero => amount,
        UnitRule::TimesHundred => amount / 100,
        UnitRule::WholeUnits => amount.saturating_mul(100),
    })
}

fn unit_rule(currency: Currency) -> Result<UnitRule, AmountError> {
    let code = currency.as_str();
    if let Some((_, rule)) = SPECIAL.iter().find(|(special, _)| *special == code) {
        return Ok(*rule);
    }
    if USUAL.binary_search(&code).is_ok() {
        Ok(UnitRule::Iso)
    } else {
        Err(AmountError::UnknownCurrency(currency))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn money(minor: i64, currency: &str) -> Money {
        Money { minor, currency: currency.parse().unwrap() }
    }

    #[test]
    fn amounts_are_counted_as_stripe_counts_them() {
        for (minor, currency, expected) in [
            (4_999, "EUR", 4_999),
            (500, "JPY", 500),
            (500, "ISK", 50_000),
            (2_000, "UGX", 200_000),
            (500_000, "MGA", 5_000),
            (5_120, "KWD", 5_120),
            (17_500, "HUF", 17_500),
            (1_045, "TWD", 1_045),
        ] {
            let money = money(minor, currency);
            assert_eq!(to_charge_amount(money), Ok(expected), "{money:?}");
            assert_eq!(from_stripe_units(expected, money.currency), Ok(money));
        }
    }

    #[test]
    fn an_amount_that_stripe_would_refuse_is_refused_here() {
        let currency = |code: &str| code.parse::<Currency>().unwrap();
        for (minor, code, expected) in [
            (49, "EUR", AmountError::BelowMinimum { currency: currency("EUR"), minimum: 50 }),
            (29, "GBP", AmountError::BelowMinimum { currency: currency("GBP"), minimum: 30 }),
            (49, "JPY", AmountError::BelowMinimum { currency: currency("JPY"), minimum: 50 }),
            (17_499, "HUF", AmountError::BelowMinimum { currency: currency("HUF"), minimum: 17_500 }),
            (0, "ISK", AmountError::BelowMinimum { currency: currency("ISK"), minimum: 1 }),
            (
                100_000_000,
                "EUR",
                AmountError::AboveMaximum { currency: currency("EUR"), maximum: 99_999_999 },
            ),
            (1_000_000, "ISK", AmountError::AboveMaximum { currency: currency("ISK"), maximum: 999_999 }),
            (i64::MAX, "UGX", AmountError::AboveMaximum { currency: currency("UGX"), maximum: 999_999 }),
            (500_050, "MGA", AmountError::Fraction(currency("MGA"))),
            (5_124, "KWD", AmountError::LastDecimal(currency("KWD"))),
            (500, "XAU", AmountError::UnknownCurrency(currency("XAU"))),
            (500, "BGN", AmountError::UnknownCurrency(currency("BGN"))),
        ] {
            assert_eq!(to_charge_amount(money(minor, code)), Err(expected), "{minor} {code}");
        }
        assert_eq!(to_charge_amount(money(999_999_999_990, "IDR")), Ok(999_999_999_990));
    }

    #[test]
    fn a_price_is_checked_for_one_unit_and_for_the_most() {
        assert_eq!(check_unit_price(money(0, "XAU"), 5), Ok(()), "what is free is not paid");
        assert_eq!(check_unit_price(money(50, "EUR"), 1), Ok(()));
        assert!(check_unit_price(money(49, "EUR"), 10).is_err(), "one unit may be bought alone");
        assert_eq!(check_unit_price(money(9_999_999, "EUR"), 10), Ok(()));
        assert!(check_unit_price(money(10_000_000, "EUR"), 10).is_err());
        assert!(check_unit_price(money(99_999_990, "KWD"), u32::MAX).is_err());
        assert!(check_unit_price(money(i64::MAX, "EUR"), u32::MAX).is_err());
    }

    #[test]
    fn the_table_is_sorted_and_names_currencies_once() {
        assert!(USUAL.is_sorted());
        assert!(SPECIAL.iter().all(|(code, _)| USUAL.binary_search(code).is_err()));
        assert!(MINIMA.iter().all(|(code, _)| USUAL.binary_search(code).is_ok()));
    }

    proptest! {
        #[test]
        fn what_is_sent_comes_back(minor in 1_i64..1_000_000_000, at in 0..USUAL.len() + SPECIAL.len()) {
            let code = USUAL.get(at).copied().unwrap_or_else(|| SPECIAL[at - USUAL.len()].0);
            let money = money(minor, code);
            if let Ok(amount) = to_charge_amount(money) {
                prop_assert_eq!(from_stripe_units(amount, money.currency), Ok(money));
            }
        }
    }
}
