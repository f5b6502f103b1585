//! Money on the wire: an integer of minor units with its currency.

use sale::Money;
use serde::Serialize;
use utoipa::ToSchema;

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Money)]
pub struct MoneyJson {
    /// Minor units: 4999 is 49.99 EUR, 4999 JPY is 4999 yen.
    pub amount: i64,
    /// ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$")]
    pub currency: String,
}

impl From<Money> for MoneyJson {
    fn from(money: Money) -> Self {
        Self { amount: money.minor, currency: money.currency.as_str().to_owned() }
    }
}
