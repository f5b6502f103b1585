//! Adds units to a sale, once for each idempotency key. The ledger does not know the key, so a row in `admin_keys` is written before
//! the command, with the sale's last event at that moment: the events after it show whether the units were added.

use super::{ListedSale, READ_BATCH_LEN, find_or_refresh};
use crate::shop::Shop;
use crate::shop::catalogue::{CatalogueError, CatalogueRefusal, CatalogueResult};
use crate::shop::idempotency_keys::{IdempotencyKey, KeyOperation, KeyRefusal, OwnedKey, content_digest};
use crate::store::admin_keys::{self, AdminKeyRow, PendingRestock};
use engine::EngineError;
use engine::error_text::describe_error;
use sale::{BuyerId, Event, EventSeq, SaleId};
use uuid::Uuid;

/// How long other processes leave a restock to the process that works on it, in milliseconds. A command in flight is decided or
/// lost after 1 s, the time limit of a call to Valkey; the rest is for clocks that differ.
const PENDING_MS: i64 = 10_000;

/// A request to add units.
#[derive(Clone, Copy, Debug)]
pub struct RestockRequest {
    pub sale: SaleId,
    /// Units to add, at least 1.
    pub quantity: u32,
    pub key: Option<OwnedKey>,
}

/// Adds units to a sale. A repetition with the same key adds nothing.
///
/// # Errors
/// When the tables or the engine do not answer. The units may still be added; the same request with the same key finds out.
pub async fn restock(shop: &Shop, request: RestockRequest) -> CatalogueResult<ListedSale> {
    let content = content_digest(&(request.sale, request.quantity));
    let (fingerprint, now) = (shop.keys.fingerprint(&content), shop.engine.now());
    // A request without a key gets a random one, so that no other request takes its event for its own.
    let key = request
        .key
        .unwrap_or_else(|| OwnedKey { owner: BuyerId(Uuid::nil()), key: IdempotencyKey::random() });
    let row = key.create_row(KeyOperation::Restock, content, request.sale.0, now);
    shop.keys.run((request.key, KeyOperation::Restock), fingerprint, now, add_once(shop, request, row)).await
}

/// Adds as many units as it takes for `target` units to remain unsold; none when as many remain. Concurrent calls for one number add up to
/// that number: each reads what remains after the one before.
///
/// # Errors
/// When the tables or the engine do not answer. The units may still be added; the same call again adds only what is missing.
pub async fn restock_to(shop: &Shop, sale: SaleId, target: u32) -> CatalogueResult<ListedSale> {
    let _lock = shop.catalogue.lock_for_edit(&shop.store).await?;
    if shop.catalogue.listing(sale).is_none() {
        return Ok(Err(CatalogueRefusal::SaleUnknown));
    }
    // A restock that lost its reply counts before what remains is read.
    if !settle_pending(shop, sale).await? {
        return Ok(Err(KeyRefusal::InFlight.into()));
    }
    let (head, remaining) = read_remaining(shop, sale).await?;
    let quantity = target.saturating_sub(remaining);
    if quantity > 0 {
        let (now, content) = (shop.engine.now(), content_digest(&(sale, quantity)));
        let key = OwnedKey { owner: BuyerId(Uuid::nil()), key: IdempotencyKey::random() };
        let row = key.create_row(KeyOperation::Restock, content, sale.0, now);
        let pending = PendingRestock { quantity, after: head, until: now.plus_ms(PENDING_MS) };
        if let Err(refusal) = add(shop, sale, AdminKeyRow { pending: Some(pending), ..row }).await? {
            return Ok(Err(refusal));
        }
    }
    Ok(find_or_refresh(shop, sale).await.ok_or(CatalogueRefusal::SaleUnknown))
}

async fn add_once(shop: &Shop, request: RestockRequest, key: AdminKeyRow) -> CatalogueResult<ListedSale> {
    let RestockRequest { sale, quantity, .. } = request;
    // One restock at a time. A restock and an edit of the quantity must not overlook each other either.
    let _lock = shop.catalogue.lock_for_edit(&shop.store).await?;
    if shop.catalogue.listing(sale).is_none() {
        return Ok(Err(CatalogueRefusal::SaleUnknown));
    }
    if let Some(known) = admin_keys::find(&shop.store, key.owner, &key.digest).await?
        && known.fingerprint != key.fingerprint
    {
        return Ok(Err(KeyRefusal::Reused.into()));
    }
    if !settle_pending(shop, sale).await? {
        return Ok(Err(KeyRefusal::InFlight.into()));
    }
    if admin_keys::find(&shop.store, key.owner, &key.digest).await?.is_none() {
        let until = shop.engine.now().plus_ms(PENDING_MS);
        let pending = PendingRestock { quantity, after: read_head(shop, sale).await?, until };
        if let Err(refusal) = add(shop, sale, AdminKeyRow { pending: Some(pending), ..key }).await? {
            return Ok(Err(refusal));
        }
    }
    let Some(listed) = find_or_refresh(shop, sale).await else {
        return Ok(Err(CatalogueRefusal::SaleUnknown));
    };
    // The published view may be older than what another process has restocked.
    let view = shop.engine.sale(sale).await?;
    Ok(Ok(ListedSale { view, ..listed }))
}

/// Writes the row, adds the units, and notes that they were added. After an error the row stays: [`settle_pending`] finds out.
async fn add(shop: &Shop, sale: SaleId, key: AdminKeyRow) -> CatalogueResult<()> {
    let Some(PendingRestock { quantity, until, .. }) = key.pending else { return Ok(Ok(())) };
    let mut writing = shop.store.begin().await?;
    if !admin_keys::insert(&mut writing, &key).await? {
        writing.rollback().await?;
        return Ok(Err(KeyRefusal::InFlight.into()));
    }
    writing.commit().await?;
    // This process was paused for so long that another one may have settled the row.
    if shop.engine.now() >= until {
        return Ok(Err(KeyRefusal::InFlight.into()));
    }
    match shop.engine.restock(sale, quantity).await {
        Ok(Ok(())) => {
            if let Err(error) = admin_keys::settle(&shop.store, &key).await {
                let error = describe_error(&error);
                tracing::warn!(%sale, error, "noting that a restock is recorded failed; the next restock reads it from the ledger");
            }
            Ok(Ok(()))
        }
        Ok(Err(refusal)) => {
            admin_keys::delete(&shop.store, &key).await?;
            Ok(Err(CatalogueRefusal::Law(refusal)))
        }
        // Nothing was done.
        Err(error @ (EngineError::Overloaded | EngineError::NoSuchSale)) => {
            admin_keys::delete(&shop.store, &key).await?;
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads from the ledger whether a restock without a reply was recorded. There is one at most, because each restock begins with this.
/// `false` while another process may still work on one.
async fn settle_pending(shop: &Shop, sale: SaleId) -> Result<bool, CatalogueError> {
    let keys = admin_keys::list_pending(&shop.store, sale).await?;
    for key in keys {
        let Some(pending) = key.pending else { continue };
        if shop.tenancy.is_cluster() && shop.engine.now() < pending.until {
            return Ok(false);
        }
        if is_recorded(shop, sale, pending).await? {
            admin_keys::settle(&shop.store, &key).await?;
        } else {
            admin_keys::delete(&shop.store, &key).await?;
        }
    }
    Ok(true)
}

/// Whether the ledger has the event of a restock.
async fn is_recorded(shop: &Shop, sale: SaleId, pending: PendingRestock) -> Result<bool, CatalogueError> {
    let head = read_head(shop, sale).await?;
    let mut after = pending.after;
    while after < head {
        let entries = shop.engine.ledger().read_entries(sale, after, READ_BATCH_LEN).await?;
        let Some(last) = entries.last() else { break };
        after = last.seq;
        if entries.iter().any(|entry| entry.event == Event::Restocked { quantity: pending.quantity }) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The sale's last event, durable. The engine answers in order, so all earlier requests of this process are decided.
async fn read_head(shop: &Shop, sale: SaleId) -> Result<EventSeq, CatalogueError> {
    Ok(read_remaining(shop, sale).await?.0)
}

/// [`read_head`], and the units that are not sold then.
async fn read_remaining(shop: &Shop, sale: SaleId) -> Result<(EventSeq, u32), CatalogueError> {
    let mut view = shop.engine.sale(sale).await?;
    if shop.tenancy.is_cluster() {
        // A Valkey that was paused takes waiting calls in any order. A call after its first reply runs after all of those.
        view = shop.engine.sale(sale).await?;
    }
    Ok((view.seq, view.counters.unsold()))
}
