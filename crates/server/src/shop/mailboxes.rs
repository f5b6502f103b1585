//! Counts all accounts of a mailbox together for the limit per buyer, in sales that want it. Only one account of a mailbox may join the
//! line and order in such a sale: the first that does. The law then counts that one, as always, and needs to know no mailbox.
//!
//! A claim is written before the engine is asked, and never given back. Adding up what several accounts of a mailbox have would be
//! kinder, but two of them could ask at the same moment, at two processes.

mod address;

pub use address::normalise_mailbox;

use super::Shop;
use super::accounts::EmailAddress;
use super::sales::{self, LimitScope};
use crate::store::{StoreError, accounts, guests, mailbox_claims};
use engine::EngineError;
use engine::error_text::describe_error;
use quick_cache::sync::Cache;
use sale::{BuyerId, Refusal, SaleId};

/// Claims that are remembered, some 100 bytes each; others are read again.
const KNOWN_MAX: usize = 200_000;

/// The accounts that may buy, as far as this process has seen.
pub struct MailboxClaims {
    known: Cache<(SaleId, BuyerId), ()>,
}

impl Default for MailboxClaims {
    fn default() -> Self {
        Self { known: Cache::new(KNOWN_MAX) }
    }
}

/// Whether an account may join the line of a sale and order in it. Another account of its mailbox that has done so has reached the
/// limit for both.
///
/// # Errors
/// When the tables do not answer: then nobody buys in a sale that counts by mailbox.
pub async fn claim_mailbox(
    shop: &Shop,
    sale: SaleId,
    account: BuyerId,
) -> Result<Result<(), Refusal>, EngineError> {
    let listing = match shop.catalogue.listing(sale) {
        Some(listing) => Some(listing),
        None => sales::find_or_refresh(shop, sale).await.map(|sale| sale.listing),
    };
    let counts_mailboxes = listing.is_some_and(|listing| listing.limit_by == LimitScope::Mailbox);
    if !counts_mailboxes || shop.mailboxes.known.get(&(sale, account)).is_some() {
        return Ok(Ok(()));
    }
    // In a box, so that it does not enlarge what the requests of all sales move.
    match Box::pin(find_claim(shop, sale, account)).await {
        Ok(owner) if owner == account => {
            shop.mailboxes.known.insert((sale, account), ());
            Ok(Ok(()))
        }
        Ok(_) => Ok(Err(Refusal::LimitReached)),
        Err(error) => {
            let error = describe_error(&error);
            tracing::warn!(
                error,
                "the mailbox of a buyer could not be claimed; the buyer gets 503, and may ask again; check the database"
            );
            Err(EngineError::StateUnknown)
        }
    }
}

/// The account that buys for the mailbox of this one.
async fn find_claim(shop: &Shop, sale: SaleId, account: BuyerId) -> Result<BuyerId, StoreError> {
    let email = match accounts::find(&shop.store, account).await? {
        Some(user) => user.email,
        None => match guests::find(&shop.store, account).await? {
            // Some guests have a name that is no address.
            Some(guest) if guest.name.parse::<EmailAddress>().is_ok() => guest.name,
            _ => return Ok(account),
        },
    };
    mailbox_claims::claim(&shop.store, sale, &normalise_mailbox(&email), account).await
}
