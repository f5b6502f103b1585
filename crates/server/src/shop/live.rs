//! What live updates are made of: stretches of the ledger for whoever listens, and how a buyer stands at a moment. It never
//! sends anything itself.

use super::Shop;
use super::line::{self, Standing};
use engine::EngineError;
use sale::{BuyerId, Entry, OrderView, SaleId, Seq};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Consecutive events of one sale, as they were recorded.
#[derive(Debug)]
pub struct Stretch {
    /// Which sale.
    pub sale: SaleId,
    /// Its events, in order.
    pub entries: Vec<Entry>,
}

/// How many listeners want to hear of single buyers. While there is none, nobody need read a ledger for them.
#[derive(Clone, Debug, Default)]
pub struct Audience(Arc<Seats>);

#[derive(Debug, Default)]
struct Seats {
    taken: AtomicUsize,
    first: Notify,
}

impl Audience {
    /// One more, for as long as what is returned lives.
    #[must_use]
    pub fn enter(&self) -> Seat {
        if self.0.taken.fetch_add(1, Ordering::SeqCst) == 0 {
            self.0.first.notify_one();
        }
        Seat(Arc::clone(&self.0))
    }

    /// Waits until somebody comes where nobody was. For one who waits; a coming while nobody waits is not missed.
    pub async fn comes(&self) {
        self.0.first.notified().await;
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.taken.load(Ordering::SeqCst) > 0
    }
}

/// A listener's place.
#[derive(Debug)]
pub struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How a buyer stands in one sale.
#[derive(Clone, Debug)]
pub struct Stand {
    /// In which sale.
    pub sale: SaleId,
    /// The sale's version: what is told here is as new as that, or newer.
    pub version: Seq,
    /// The place in line, if there is one.
    pub place: Option<Standing>,
    /// The orders, newest first.
    pub orders: Vec<OrderView>,
}

/// How a buyer stands in a sale now, or `None` when there is no such sale.
///
/// # Errors
/// When the engine cannot answer.
pub async fn stand(shop: &Shop, sale: SaleId, buyer: BuyerId) -> Result<Option<Stand>, EngineError> {
    // Looked at before the question, so that the answer is never older than its version.
    let Some(view) = shop.engine.views().get(sale) else { return Ok(None) };
    let place = match view.policy.line_opens_at() {
        Some(_) => line::position(shop, sale, buyer).await?,
        None => None,
    };
    let orders = shop.engine.orders_of(buyer, vec![sale]).await?.into_iter().map(|(_, order)| order);
    Ok(Some(Stand { sale, version: view.seq, place, orders: orders.collect() }))
}

/// The stable code of the engine's silence.
#[must_use]
pub fn code(error: EngineError) -> &'static str {
    match error {
        EngineError::Overloaded => "overloaded",
        EngineError::NotRecorded => "not_recorded",
        EngineError::Unreadable | EngineError::Stopped => "unavailable",
        EngineError::NoSuchSale => "sale_unknown",
    }
}
