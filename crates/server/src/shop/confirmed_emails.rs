//! Sales that only owners of confirmed addresses may buy in: accounts that have used the link of their mail, and guests who have proved
//! their address by a code. The shop refuses all others before the law is asked, which knows no address.

use super::Shop;
use super::guests::GuestOrigin;
use super::sales;
use crate::store::{Store, StoreError, accounts, guests};
use engine::EngineError;
use engine::error_text::describe_error;
use quick_cache::sync::Cache;
use sale::{BuyerId, Refusal, SaleId};

/// Buyers with a confirmed address that are remembered, some 60 bytes each; others are read again.
const KNOWN_MAX: usize = 200_000;

/// The buyers with a confirmed address, as far as this process has seen. An address stays confirmed.
pub struct ConfirmedBuyers {
    known: Cache<BuyerId, ()>,
}

impl Default for ConfirmedBuyers {
    fn default() -> Self {
        Self { known: Cache::new(KNOWN_MAX) }
    }
}

/// Whether a buyer may join the line of a sale and order in it.
///
/// # Errors
/// When the tables do not answer: then nobody buys in a sale that needs a confirmed address.
pub async fn check_confirmed_email(
    shop: &Shop,
    sale: SaleId,
    buyer: BuyerId,
) -> Result<Result<(), Refusal>, EngineError> {
    let listing = match shop.catalogue.listing(sale) {
        Some(listing) => Some(listing),
        None => sales::find_or_refresh(shop, sale).await.map(|sale| sale.listing),
    };
    let is_needed = listing.is_some_and(|listing| listing.require_confirmed_email);
    if !is_needed || shop.confirmed_buyers.known.get(&buyer).is_some() {
        return Ok(Ok(()));
    }
    // In a box, so that it does not enlarge what the requests of all sales move.
    match Box::pin(is_confirmed(&shop.store, buyer)).await {
        Ok(true) => {
            shop.confirmed_buyers.known.insert(buyer, ());
            Ok(Ok(()))
        }
        Ok(false) => Ok(Err(Refusal::EmailUnconfirmed)),
        Err(error) => {
            let error = describe_error(&error);
            tracing::warn!(
                error,
                "whether a buyer has a confirmed address could not be read; the buyer gets 503, and may ask again; check the database"
            );
            Err(EngineError::StateUnknown)
        }
    }
}

/// Whether a buyer has proved to read the mails of the own address.
///
/// # Errors
/// When the tables do not answer.
pub async fn is_confirmed(store: &Store, buyer: BuyerId) -> Result<bool, StoreError> {
    Ok(accounts::is_email_confirmed(store, buyer).await?
        || guests::is_of_origin(store, buyer, GuestOrigin::Proved.as_str()).await?)
}
