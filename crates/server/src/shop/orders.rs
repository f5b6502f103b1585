//! Orders: reserve, find, list, cancel. The law decides; here a request becomes a command and its outcome an order with a price. Paying
//! is in [`super::payments`].

use super::confirmed_emails::check_confirmed_email;
use super::idempotency_keys::{IdempotencyKey, KeyOperation, KeyRefusal, OwnedKey};
use super::mailboxes::claim_mailbox;
use super::native_guests::claim_units;
use super::retry_times::choose_retry_after_s;
use super::sales::requires_payment;
use super::unanswered::UnansweredError;
use super::{Shop, ids};
use crate::store::orders::{self as rows, OrderRow, OrderRowFilter};
use engine::{Decision, EngineError, SaleView};
use sale::{
    BuyerId, LinePosition, Money, OrderId, OrderStatus, OrderView, Refusal, ReleaseReason, RequestKey,
    SaleId, Timestamp,
};

/// An order and what it costs.
#[derive(Clone, Copy, Debug)]
pub struct PricedOrder {
    pub sale: SaleId,
    pub view: OrderView,
    /// The price of one unit, as promised by the sale.
    pub unit_price: Money,
    /// Whether it must be paid before it is confirmed.
    pub requires_payment: bool,
}

/// The place of an order in a list: newest first.
pub type OrderSortKey = (Timestamp, OrderId);

impl PricedOrder {
    /// The price of all units.
    ///
    /// # Panics
    /// Never: the law bounds quantity and price so that their product fits (see [`sale::policy::UNIT_PRICE_MINOR_MAX`]).
    #[must_use]
    pub fn total(&self) -> Money {
        self.unit_price.checked_mul(self.view.quantity).expect("the law bounds price and quantity")
    }

    #[must_use]
    pub fn sort_key(&self) -> OrderSortKey {
        (self.view.made_at, self.view.id)
    }
}

/// A request to buy.
#[derive(Clone, Copy, Debug)]
pub struct ReservationRequest {
    pub sale: SaleId,
    pub buyer: BuyerId,
    /// Units.
    pub quantity: u32,
    pub key: Option<IdempotencyKey>,
}

/// Why there is no order. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationRefusal {
    Law(Refusal),
    /// All units are held by others.
    AllHeld {
        /// When to ask again; see [`choose_retry_after_s`].
        retry_after_s: u32,
    },
    /// More units were asked for than the buyer can have now.
    FewerLeft {
        /// Units that are set aside for the buyer, who is admitted: 1, or 0 in a sale without a line.
        set_aside: u32,
        /// Units that the buyer can order now, with those set aside; at least 1.
        orderable: u32,
    },
    /// The first request with the same key is under way.
    InFlight,
}

impl From<KeyRefusal> for ReservationRefusal {
    fn from(refusal: KeyRefusal) -> Self {
        match refusal {
            KeyRefusal::Reused => Self::Law(Refusal::KeyReused),
            KeyRefusal::InFlight => Self::InFlight,
        }
    }
}

/// Holds units, or sells them where the sale sells at once. The law knows the keys of its own sale; [`Shop::keys`] refuses what no
/// single sale sees: the same key for another sale, and the same request while it is under way.
///
/// # Errors
/// When the engine does not answer; the units may be held all the same, and the same request with the same key finds out.
pub async fn reserve(
    shop: &Shop,
    request: ReservationRequest,
) -> Result<Result<PricedOrder, ReservationRefusal>, EngineError> {
    let ReservationRequest { sale, buyer, quantity, key } = request;
    let owned = key.map(|key| OwnedKey { owner: buyer, key });
    let key = key.map(|key| key.request_key());
    let content = shop.keys.fingerprint((sale, quantity));
    let reserved = async {
        let order = new_order_id(shop, sale);
        match send_reservation(shop, (sale, buyer), (order, quantity), key).await? {
            Ok(reserved) => Ok(Ok(reserved.order)),
            Err(refusal) => {
                let fewer = find_fewer_left(shop, (sale, buyer), quantity, refusal).await;
                Ok(Err(fewer.unwrap_or_else(|| explain_refusal(shop, (sale, buyer), refusal))))
            }
        }
    };
    shop.keys.run((owned, KeyOperation::Reserve), content, shop.engine.now(), reserved).await
}

/// The order of a reservation.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReservedOrder {
    pub(super) order: PricedOrder,
    /// True when the key's order was made before.
    pub(super) repeated: bool,
    /// Units of the sale that were not sold right after it.
    pub(super) unsold: u32,
}

/// Holds units, or sells them, with a key of the law's own form.
///
/// # Errors
/// When the engine does not answer; the same call with the same key finds out what became of it.
pub(super) async fn reserve_with_key(
    shop: &Shop,
    buyer_in_sale: (SaleId, BuyerId),
    quantity: u32,
    key: RequestKey,
) -> Decision<ReservedOrder> {
    let order = new_order_id(shop, buyer_in_sale.0);
    send_reservation(shop, buyer_in_sale, (order, quantity), Some(key)).await
}

/// The same for one unit, with the id that the order gets if it is new: the caller can ask for the order later.
pub(super) async fn reserve_as(
    shop: &Shop,
    buyer_in_sale: (SaleId, BuyerId),
    order: OrderId,
    key: RequestKey,
) -> Decision<ReservedOrder> {
    send_reservation(shop, buyer_in_sale, (order, 1), Some(key)).await
}

/// An id for a new order.
pub(super) fn new_order_id(shop: &Shop, sale: SaleId) -> OrderId {
    OrderId::with_sale_suffix(ids::new(shop.engine.now()), sale)
}

/// Asks for units, and counts what came of it.
async fn send_reservation(
    shop: &Shop,
    buyer_in_sale: (SaleId, BuyerId),
    units: (OrderId, u32),
    key: Option<RequestKey>,
) -> Decision<ReservedOrder> {
    let decided = decide_reservation(shop, buyer_in_sale, units, key).await;
    shop.purchases.count(match &decided {
        Ok(Ok(ReservedOrder { repeated: true, .. })) => "repeated",
        Ok(Ok(reserved)) if reserved.order.view.status == OrderStatus::Confirmed => "sold",
        Ok(Ok(_)) => "held",
        Ok(Err(refusal)) => refusal.code(),
        Err(_) => "failed",
    });
    decided
}

async fn decide_reservation(
    shop: &Shop,
    (sale, buyer): (SaleId, BuyerId),
    (order, quantity): (OrderId, u32),
    key: Option<RequestKey>,
) -> Decision<ReservedOrder> {
    let now = shop.engine.now();
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale) };
    // A request with a key may repeat an earlier order, and only the engine knows that.
    if key.is_none()
        && let Some(refusal) = refusal_for_all(shop, &view)
    {
        shop.attempts.record_refusal(sale, Some(buyer), "order", refusal.code(), now);
        return Ok(Err(refusal));
    }
    // Where there is a line, joining it asks for the confirmed address and claims the mailbox: a buyer who is not in it is refused, and must not take it from another.
    let has_line = view.policy.line_opens_at().is_some();
    if !has_line && let Err(refusal) = check_confirmed_email(shop, sale, buyer).await? {
        shop.attempts.record_refusal(sale, Some(buyer), "order", refusal.code(), now);
        return Ok(Err(refusal));
    }
    if !has_line && let Err(refusal) = claim_mailbox(shop, sale, buyer).await? {
        shop.attempts.record_refusal(sale, Some(buyer), "order", refusal.code(), now);
        return Ok(Err(refusal));
    }
    let address_lock = match claim_units(shop, &view, buyer, quantity).await? {
        Ok(lock) => lock,
        Err(refusal) => {
            shop.attempts.record_refusal(sale, Some(buyer), "order", refusal.code(), now);
            return Ok(Err(refusal));
        }
    };
    let decided = shop.engine.reserve(sale, buyer, order, quantity, key).await?;
    if let Some(lock) = address_lock {
        Box::pin(lock.release(shop, decided.is_err())).await;
    }
    match decided {
        Ok(decided) => {
            // The price may have been edited while the request waited: the view that it was decided by is published before the reply.
            let order = with_price(shop, sale, decided.order).ok_or(EngineError::NoSuchSale)?;
            Ok(Ok(ReservedOrder { order, repeated: decided.repeated, unsold: decided.unsold }))
        }
        Err(refusal) => {
            shop.attempts.record_refusal(sale, Some(buyer), "order", refusal.code(), now);
            Ok(Err(refusal))
        }
    }
}

/// The refusal that the published view gives to every order, without asking the law. `None` while this process decides or records nothing: the
/// view may be old, and its refusal wrong.
pub(super) fn refusal_for_all(shop: &Shop, view: &SaleView) -> Option<Refusal> {
    view.refusal_for_all(shop.engine.now()).filter(|_| shop.engine.is_working())
}

/// What a buyer can have instead, who asked for several units and was refused for lack of them. The law refuses such an order whole:
/// there is no half order.
async fn find_fewer_left(
    shop: &Shop,
    (sale, buyer): (SaleId, BuyerId),
    quantity: u32,
    refusal: Refusal,
) -> Option<ReservationRefusal> {
    if quantity < 2 || !matches!(refusal, Refusal::AllHeld | Refusal::SoldOut) {
        return None;
    }
    let set_aside = match shop.engine.views().get(sale)?.policy.line_opens_at() {
        Some(_) => {
            let place = shop.engine.buyer(sale, buyer).await.ok()?.place;
            u32::from(matches!(place, Some(LinePosition::Admitted { .. })))
        }
        None => 0,
    };
    let orderable = set_aside + shop.engine.views().get(sale)?.counters.free();
    (1..quantity).contains(&orderable).then_some(ReservationRefusal::FewerLeft { set_aside, orderable })
}

/// The refusal with what its buyer needs to know.
fn explain_refusal(shop: &Shop, (sale, buyer): (SaleId, BuyerId), refusal: Refusal) -> ReservationRefusal {
    match shop.engine.views().get(sale) {
        Some(view) if refusal == Refusal::AllHeld => ReservationRefusal::AllHeld {
            retry_after_s: choose_retry_after_s(&view, buyer, shop.engine.now()),
        },
        _ => ReservationRefusal::Law(refusal),
    }
}

/// A buyer's own order. Another buyer's order is unknown.
///
/// # Errors
/// When the engine does not answer.
pub async fn find(shop: &Shop, buyer: BuyerId, order: OrderId) -> Result<Option<PricedOrder>, EngineError> {
    let found = shop.engine.order(order).await?;
    Ok(found.filter(|(_, view)| view.buyer == buyer).and_then(|(sale, view)| with_price(shop, sale, view)))
}

/// Cancels a pending order: its units are free again. It is refused while a payment is in progress.
///
/// # Errors
/// When the engine does not answer; cancelling again is safe.
pub async fn cancel(shop: &Shop, buyer: BuyerId, order: OrderId) -> Decision<PricedOrder> {
    let Some(found) = find(shop, buyer, order).await? else { return Ok(Err(Refusal::OrderUnknown)) };
    let released = shop.engine.release(found.sale, buyer, order, ReleaseReason::Cancelled).await?;
    if released.is_ok() {
        // A page on which it could be paid is closed.
        shop.payments.wake_order(order);
    }
    Ok(released.map(|decided| PricedOrder { view: decided.order, ..found }))
}

/// The order with the price that its sale promises.
pub(super) fn with_price(shop: &Shop, sale: SaleId, view: OrderView) -> Option<PricedOrder> {
    let unit_price = shop.engine.views().get(sale)?.policy.unit_price;
    Some(PricedOrder { sale, view, unit_price, requires_payment: requires_payment(shop, sale) })
}

/// A buyer's own orders, newest first: at most `limit` after the order with this key. The engine adds
/// what the tables do not have yet, so that buyers read their own writes.
///
/// # Errors
/// When the tables or the engine do not answer.
pub async fn list(
    shop: &Shop,
    buyer: BuyerId,
    after: Option<OrderSortKey>,
    limit: u32,
) -> Result<Vec<PricedOrder>, UnansweredError> {
    // Read before the tables: an order may be found twice, and is never missed.
    let lagging = shop.projected.lagging_sales(shop.engine.views());
    let filter = OrderRowFilter { buyer: Some(buyer), after, ..OrderRowFilter::default() };
    let rows = rows::list(&shop.store, filter, limit).await?;
    let from_row = |row: OrderRow| PricedOrder {
        sale: row.sale,
        view: row.order,
        unit_price: row.unit_price,
        requires_payment: requires_payment(shop, row.sale),
    };
    let mut orders: Vec<PricedOrder> = rows.into_iter().map(from_row).collect();
    if lagging.is_empty() {
        return Ok(orders);
    }
    for (sale, view) in shop.engine.buyer_orders(buyer, lagging).await? {
        let Some(order) = with_price(shop, sale, view) else { continue };
        match orders.iter_mut().find(|known| known.view.id == view.id) {
            Some(known) => *known = order,
            None if after.is_none_or(|after| order.sort_key() < after) => orders.push(order),
            None => {}
        }
    }
    orders.sort_unstable_by_key(|order| std::cmp::Reverse(order.sort_key()));
    orders.truncate(limit as usize);
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use super::super::line;
    use super::*;

    /// Bytes of what a call keeps while it waits. The call is not made.
    fn future_len<T, F: Future>(_: impl FnOnce(T) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_each_purchase_and_join_moves_stays_small() {
        // A rare case that waits for the tables belongs in a box: without them these were 8,144 and 968.
        assert!(future_len(|(shop, request): (&'static Shop, _)| reserve(shop, request)) < 3_000);
        assert!(future_len(|(shop, sale, buyer): (&'static Shop, _, _)| line::join(shop, sale, buyer)) < 800);
    }
}
