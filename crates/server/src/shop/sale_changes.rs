//! When a sale last changed for those who look at it: what it promises, its quantity, what remains of it, its end. The ledger knows; this
//! process remembers how far it has read.

use super::Shop;
use super::catalogue::CatalogueError;
use super::sales::ListedSale;
use sale::{Event, EventSeq, SaleCounters, SaleId, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

/// Events that are read at first: of a sale that sells, the last ones have a sale among them.
const READ_LEN_MIN: u64 = 64;
const READ_LEN_MAX: u64 = 4_096;

/// The last changes that were read, one for each sale; clones share them.
#[derive(Clone, Default)]
pub struct SaleChanges(Arc<Mutex<HashMap<SaleId, Arc<AsyncMutex<LastChange>>>>>);

#[derive(Debug, Default)]
struct LastChange {
    at: Timestamp,
    /// All events up to this one were read.
    seq: EventSeq,
}

/// The moment of the last change of a sale, or of what it shows of its product. Changes of the line alone are none.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn find_last_change(shop: &Shop, sale: &ListedSale) -> Result<Timestamp, CatalogueError> {
    let (id, head) = (sale.view.id, sale.view.seq);
    let last_change = shop.changes.get(id);
    let mut last_change = last_change.lock().await;
    let (mut end, mut len) = (head, READ_LEN_MIN);
    // Backwards: the newest change is the one that counts.
    while end > last_change.seq {
        let start = EventSeq(end.0.saturating_sub(len)).max(last_change.seq);
        let count = usize::try_from(end.0 - start.0).unwrap_or(usize::MAX);
        let entries = shop.engine.ledger().read_entries(id, start, count).await?;
        if let Some(change) = entries.iter().rev().find(|entry| is_visible(&entry.event)) {
            last_change.at = change.at;
            break;
        }
        (end, len) = (start, (2 * len).min(READ_LEN_MAX));
    }
    last_change.seq = last_change.seq.max(head);
    Ok(last_change.at.max(sale.listing.created_at).max(sale.listing.edited_at))
}

/// Whether a sale shows an event.
fn is_visible(event: &Event) -> bool {
    /// Units before the event; any number that cannot fall below zero.
    const UNSOLD: u32 = u32::MAX / 2;
    matches!(event, Event::Configured { .. } | Event::Closed)
        || SaleCounters::unsold_before(event, UNSOLD) != UNSOLD
}

impl SaleChanges {
    fn get(&self, sale: SaleId) -> Arc<AsyncMutex<LastChange>> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(sale).or_default())
    }
}
