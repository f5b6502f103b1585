//! Money on the wire: an integer of minor units with its currency.

use sale::{Currency, Money};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Money)]
pub struct MoneyDocument {
    /// Minor units: 4999 is 49.99 EUR, 4999 JPY is 4999 yen.
    pub amount: i64,
    /// ISO 4217 code.
    #[schema(value_type = String, pattern = "^[A-Z]{3}$")]
    pub currency: Currency,
}

impl From<Money> for MoneyDocument {
    fn from(money: Money) -> Self {
        Self { amount: money.minor, currency: money.currency }
    }
}

impl From<MoneyDocument> for Money {
    fn from(document: MoneyDocument) -> Self {
        Self { minor: document.amount, currency: document.currency }
    }
}
