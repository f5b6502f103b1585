//! Integer ids of accounts, products and sales, for clients that know no UUIDs: see [`crate::store::integer_ids`].

use super::Shop;
use super::sales::{self, ListedSale};
use crate::store::integer_ids::{self, IntegerIdKind};
use crate::store::products::ProductId;
use crate::store::{Store, StoreError};
use quick_cache::sync::Cache;
use sale::{BuyerId, SaleId};

/// Accounts whose ids are remembered, some 50 bytes each; others are read again.
const KNOWN_MAX: usize = 200_000;

/// The integer ids of accounts, as far as this process has read them. They never change.
pub struct AccountNumbers {
    known: Cache<BuyerId, i64>,
}

impl Default for AccountNumbers {
    fn default() -> Self {
        Self { known: Cache::new(KNOWN_MAX) }
    }
}

/// The integer id of an account; `None` when there is no such account.
///
/// # Errors
/// When the tables do not answer.
pub async fn find_user_number(shop: &Shop, account: BuyerId) -> Result<Option<i64>, StoreError> {
    if let Some(number) = shop.account_numbers.known.get(&account) {
        return Ok(Some(number));
    }
    let mut found = integer_ids::find_user(&shop.store, account).await?;
    if found.is_none() && fill_users(&shop.store).await? {
        found = integer_ids::find_user(&shop.store, account).await?;
    }
    if let Some(number) = found {
        shop.account_numbers.known.insert(account, number);
    }
    Ok(found)
}

/// The sale with this integer id, also when another process has just made it.
pub async fn find_sale(shop: &Shop, number: i64) -> Option<ListedSale> {
    if shop.catalogue.find_by_integer_id(number).is_none() {
        shop.catalogue.refresh_for_miss(&shop.store).await;
    }
    sales::find_or_refresh(shop, shop.catalogue.find_by_integer_id(number)?).await
}

/// The product with this integer id and the sales that sell it, also when another process has just made one; `None` when no sale does.
pub async fn find_sold_product(shop: &Shop, number: i64) -> Option<(ProductId, Vec<SaleId>)> {
    if let Some(found) = shop.catalogue.find_by_product_integer_id(number) {
        return Some(found);
    }
    shop.catalogue.refresh_for_miss(&shop.store).await;
    shop.catalogue.find_by_product_integer_id(number)
}

/// Gives ids to accounts, products and sales that have none: rows of an older version, of an import or of a restored dump.
///
/// # Errors
/// When the tables do not answer.
pub async fn fill_missing(store: &Store) -> Result<(), StoreError> {
    for kind in IntegerIdKind::ALL {
        let filled = integer_ids::fill_missing(store, kind).await?;
        if filled > 0 {
            tracing::info!(?kind, rows = filled, "rows without an integer id have one now");
        }
    }
    Ok(())
}

async fn fill_users(store: &Store) -> Result<bool, StoreError> {
    Ok(integer_ids::fill_missing(store, IntegerIdKind::Users).await? > 0)
}
