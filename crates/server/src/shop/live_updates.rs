//! The parts of live updates: ranges of recorded events, and snapshots of a buyer in a sale. It never sends anything itself.

use super::Shop;
use super::line::{self, QueueStatus};
use super::unanswered::UnansweredError;
use engine::EngineError;
use sale::{BuyerId, EventSeq, LedgerEntry, OrderView, SaleId};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Consecutive events of one sale, as they were recorded.
#[derive(Debug)]
pub struct SaleEvents {
    pub sale: SaleId,
    /// Its events, in order.
    pub entries: Vec<LedgerEntry>,
}

/// Counts the subscribers to single buyers. While there is none, the ledger is not read for them.
#[derive(Clone, Debug, Default)]
pub struct SubscriberCount(Arc<SubscriberState>);

#[derive(Debug, Default)]
struct SubscriberState {
    count: AtomicUsize,
    first: Notify,
}

impl SubscriberCount {
    /// Adds a subscriber until the returned subscription is dropped.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        if self.0.count.fetch_add(1, Ordering::SeqCst) == 0 {
            self.0.first.notify_one();
        }
        Subscription(Arc::clone(&self.0))
    }

    /// Waits until there is a subscriber after there was none. For one waiting task; a change between two waits is not missed.
    pub async fn wait_for_first(&self) {
        self.0.first.notified().await;
    }

    /// Whether there is a subscriber.
    #[must_use]
    pub fn has_subscribers(&self) -> bool {
        self.0.count.load(Ordering::SeqCst) > 0
    }
}

#[derive(Debug)]
pub struct Subscription(Arc<SubscriberState>);

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A buyer's place and orders in one sale.
#[derive(Clone, Debug)]
pub struct BuyerSnapshot {
    pub sale: SaleId,
    /// The sale's version: the snapshot is as new as that, or newer.
    pub version: EventSeq,
    pub place: Option<QueueStatus>,
    /// The orders, newest first.
    pub orders: Vec<OrderView>,
}

/// A snapshot of a buyer in a sale, or `None` when there is no such sale.
///
/// # Errors
/// When the engine or the tables do not answer.
pub async fn load_snapshot(
    shop: &Shop,
    sale: SaleId,
    buyer: BuyerId,
) -> Result<Option<BuyerSnapshot>, UnansweredError> {
    // Read before the query, so that the snapshot is never older than its version.
    let Some(view) = shop.engine.views().get(sale) else { return Ok(None) };
    let place = match view.policy.line_opens_at() {
        Some(_) => line::find_position(shop, sale, buyer).await?,
        None => None,
    };
    let orders = shop.engine.buyer_orders(buyer, vec![sale]).await?.into_iter().map(|(_, order)| order);
    Ok(Some(BuyerSnapshot { sale, version: view.seq, place, orders: orders.collect() }))
}

/// The stable code of an engine error.
#[must_use]
pub fn error_code(error: EngineError) -> &'static str {
    match error {
        EngineError::Overloaded => "overloaded",
        EngineError::NotRecorded => "not_recorded",
        EngineError::StateUnknown | EngineError::Stopped => "unavailable",
        EngineError::NoSuchSale => "sale_unknown",
        EngineError::UnexpectedReply { .. } => "internal",
    }
}
