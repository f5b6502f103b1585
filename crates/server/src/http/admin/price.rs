//! A price in a body: a whole number of minor units in a currency that is in use.

use crate::http::valid_json::fields::{self, required};
use crate::shop::catalogue_text::{check_price, parse_currency};
use garde::Validate;
use sale::{Currency, Money};
use serde::de::{Deserialize, Deserializer, Error};
use utoipa::ToSchema;

/// An amount of money in a currency that is in use.
#[derive(Clone, Copy, Debug, serde::Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Price)]
pub(super) struct PriceBody {
    /// Minor units: 4999 is 49.99 EUR, 4999 JPY is 4999 yen.
    #[serde(default, deserialize_with = "amount")]
    #[schema(value_type = i64, required = true)]
    #[garde(custom(required))]
    amount: Option<i64>,
    /// ISO 4217 code.
    #[serde(default, deserialize_with = "currency")]
    #[schema(value_type = String, pattern = "^[A-Z]{3}$", required = true)]
    #[garde(custom(required))]
    currency: Option<Currency>,
}

impl PriceBody {
    pub(super) fn into_money(self) -> Option<Money> {
        Some(Money { minor: self.amount?, currency: self.currency? })
    }
}

fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let amount = i64::deserialize(deserializer).ok().and_then(|amount| check_price(amount).ok());
    amount.map(Some).ok_or_else(|| {
        D::Error::custom(
            "must be a whole number of minor units (cents of EUR, yen of JPY), 0 to 100000000000",
        )
    })
}

fn currency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Currency>, D::Error> {
    let code = fields::string(deserializer)?.unwrap_or_default();
    parse_currency(&code).map(Some).map_err(D::Error::custom)
}
