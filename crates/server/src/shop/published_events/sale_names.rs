//! What a sale is called in events when the catalogue does not list it: before it is listed, or after it was deleted.

use crate::store::{Store, StoreError, sales};
use documents::published_event::EventProduct;
use sale::SaleId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The names of a sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SaleNames {
    pub slug: String,
    pub product: Uuid,
    pub product_name: String,
}

impl SaleNames {
    /// The names of a sale whose row is lost: its id.
    pub(super) fn unknown(sale: SaleId) -> Self {
        Self { slug: sale.to_string(), product: Uuid::nil(), product_name: sale.to_string() }
    }

    pub(super) fn into_parts(self) -> (String, EventProduct) {
        (self.slug, EventProduct { id: self.product, name: self.product_name })
    }
}

/// The names of any sale that has a row, also one that is not announced yet or deleted.
///
/// # Errors
/// When the tables cannot be read.
pub async fn find_names(store: &Store, sale: SaleId) -> Result<SaleNames, StoreError> {
    let found = sales::find_names(store, sale).await?;
    Ok(found.map_or_else(
        || SaleNames::unknown(sale),
        |(slug, product, product_name)| SaleNames { slug, product: product.0, product_name },
    ))
}
