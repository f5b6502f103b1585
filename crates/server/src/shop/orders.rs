//! Orders: reserve units, look at an order, give it back. The law decides; here a request becomes its command and its answer
//! becomes an order with a price. Paying is in [`super::payments`].

use super::keys::KEY_LIFE_MS;
use super::{Shop, ids};
use crate::store::StoreError;
use crate::store::orders::{self as rows, Filter, OrderRow};
use engine::EngineError;
use engine::record::ReadError;
use sale::{
    BuyerId, Command, Event, Money, OrderId, OrderView, Outcome, Refusal, ReleaseReason, RequestKey, SaleId,
    Seq, Timestamp,
};

/// An order and what it costs.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Of which sale.
    pub sale: SaleId,
    /// What the law says of it.
    pub view: OrderView,
    /// The price of one unit, as promised by the sale.
    pub unit_price: Money,
}

/// Where an order stands in a list: newest first.
pub type Key = (Timestamp, OrderId);

impl Order {
    /// The price of all units.
    ///
    /// # Panics
    /// Never: the law bounds quantity and price so that their product fits (see [`sale::policy::UNIT_PRICE_MINOR_MAX`]).
    #[must_use]
    pub fn total(&self) -> Money {
        self.unit_price.times(self.view.quantity).expect("the law bounds price and quantity")
    }

    /// Where it stands in a list.
    #[must_use]
    pub fn key(&self) -> Key {
        (self.view.made_at, self.view.id)
    }
}

impl From<OrderRow> for Order {
    fn from(row: OrderRow) -> Self {
        Self { sale: row.sale, view: row.order, unit_price: row.unit_price }
    }
}

/// A request to buy.
#[derive(Clone, Copy, Debug)]
pub struct Reservation {
    /// In which sale.
    pub sale: SaleId,
    /// Who.
    pub buyer: BuyerId,
    /// Units.
    pub quantity: u32,
    /// Digest of the request's `Idempotency-Key`.
    pub key: Option<RequestKey>,
}

/// The outer result is whether there is an answer, the inner one the answer.
type Answered<T> = Result<Result<T, Refusal>, EngineError>;

/// Holds units, or sells them where the sale sells at once.
///
/// # Errors
/// When the engine cannot answer; the units may be held all the same, and the same request with the same key tells.
pub async fn reserve(shop: &Shop, request: Reservation) -> Answered<Order> {
    let Reservation { sale, buyer, quantity, key } = request;
    let now = shop.engine.now();
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale) };
    // A request with a key may repeat one that was carried out: only the law knows.
    if key.is_none()
        && let Some(refusal) = view.refusal_for_all(now)
    {
        shop.attempts.refused(sale, Some(buyer), "order", refusal.code(), now);
        return Ok(Err(refusal));
    }
    let order = OrderId::of_sale(ids::new(now), sale);
    let answer = shop.engine.command(sale, Command::Reserve { buyer, order, quantity, key }).await?;
    match answer.outcome {
        Outcome::Order { order, .. } => {
            Ok(Ok(Order { sale, view: order, unit_price: view.policy.unit_price }))
        }
        Outcome::Refused(refusal) => {
            shop.attempts.refused(sale, Some(buyer), "order", refusal.code(), now);
            Ok(Err(refusal))
        }
        Outcome::Done | Outcome::Joined { .. } | Outcome::Left { .. } | Outcome::Extended { .. } => {
            Err(EngineError::NoSuchSale)
        }
    }
}

/// A buyer's own order; another's is as unknown as one that never was.
///
/// # Errors
/// When the engine cannot answer.
pub async fn find(shop: &Shop, buyer: BuyerId, order: OrderId) -> Result<Option<Order>, EngineError> {
    let found = shop.engine.order(order).await?;
    Ok(found.filter(|(_, view)| view.buyer == buyer).and_then(|(sale, view)| priced(shop, sale, view)))
}

/// Gives a pending order's units back.
///
/// # Errors
/// When the engine cannot answer; cancelling again is safe.
pub async fn cancel(shop: &Shop, buyer: BuyerId, order: OrderId) -> Answered<Order> {
    let Some(found) = find(shop, buyer, order).await? else { return Ok(Err(Refusal::OrderUnknown)) };
    let reason = ReleaseReason::Cancelled;
    let answer = shop.engine.command(found.sale, Command::Release { buyer, order, reason }).await?;
    match answer.outcome {
        Outcome::Order { order, .. } => Ok(Ok(Order { view: order, ..found })),
        Outcome::Refused(refusal) => Ok(Err(refusal)),
        Outcome::Done | Outcome::Joined { .. } | Outcome::Left { .. } | Outcome::Extended { .. } => {
            Err(EngineError::NoSuchSale)
        }
    }
}

/// Tells the guard again which keys the orders of the last day were made with. The guard forgets with the process, and the law
/// of one sale does not know the keys of another.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn recall_keys(shop: &Shop) -> Result<(), ReadError> {
    let (ledger, since) = (shop.engine.ledger(), shop.engine.now().plus_ms(-KEY_LIFE_MS));
    for view in shop.engine.views().all().iter() {
        let mut after = before(shop, view.id, view.seq, since).await?;
        loop {
            let entries = ledger.read(view.id, after, RECALLED_LEN).await?;
            let Some(last) = entries.last() else { break };
            after = last.seq;
            for entry in &entries {
                if let Event::Held { buyer, quantity, key: Some(key), .. }
                | Event::Confirmed { buyer, quantity, key: Some(key), .. } = entry.event
                {
                    let content = shop.keys.fingerprint((view.id, quantity));
                    shop.keys.remember(buyer, key, content, entry.at);
                }
            }
        }
    }
    Ok(())
}

/// An event before all of those since a moment, less than two pages before: found by halving.
async fn before(shop: &Shop, sale: SaleId, last: Seq, since: Timestamp) -> Result<Seq, ReadError> {
    let (mut earlier, mut later) = (0, last.0);
    while later - earlier > RECALLED_LEN as u64 {
        let middle = earlier + (later - earlier) / 2;
        let found = shop.engine.ledger().read(sale, Seq(middle), 1).await?;
        match found.first() {
            Some(entry) if entry.at < since => earlier = middle,
            _ => later = middle,
        }
    }
    Ok(Seq(earlier))
}

/// Events read at once when keys are recalled.
const RECALLED_LEN: usize = 4_096;

/// The order with the price that its sale promises.
pub(super) fn priced(shop: &Shop, sale: SaleId, view: OrderView) -> Option<Order> {
    let unit_price = shop.engine.views().get(sale)?.policy.unit_price;
    Some(Order { sale, view, unit_price })
}

/// Why a list of orders cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The tables cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine cannot answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A buyer's own orders, newest first: at most `limit` after the order with this key. What the tables do not show yet is
/// asked of the engine, so that a buyer reads their own writes.
///
/// # Errors
/// When the tables or the engine cannot answer.
pub async fn list(
    shop: &Shop,
    buyer: BuyerId,
    after: Option<Key>,
    limit: u32,
) -> Result<Vec<Order>, ListError> {
    // Asked before the tables are read: what they show by then is not missed, only seen twice.
    let lagging = shop.projected.lagging(shop.engine.views());
    let filter = Filter { buyer: Some(buyer), after, ..Filter::default() };
    let rows = rows::list(&shop.store, filter, limit).await?;
    let mut orders: Vec<Order> = rows.into_iter().map(Order::from).collect();
    if lagging.is_empty() {
        return Ok(orders);
    }
    for (sale, view) in shop.engine.orders_of(buyer, lagging).await? {
        let Some(order) = priced(shop, sale, view) else { continue };
        match orders.iter_mut().find(|known| known.view.id == view.id) {
            Some(known) => *known = order,
            None if after.is_none_or(|after| order.key() < after) => orders.push(order),
            None => {}
        }
    }
    orders.sort_unstable_by_key(|order| std::cmp::Reverse(order.key()));
    orders.truncate(limit as usize);
    Ok(orders)
}
