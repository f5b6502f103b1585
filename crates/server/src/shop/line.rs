//! The waiting line: join, find, extend, leave. The law decides; this adds an estimate of the wait and a receipt. It never keeps a place.

use super::Shop;
use super::mailboxes::claim_mailbox;
use super::receipts::LineReceipt;
use engine::{Decision, EngineError, ExtendedAdmission, JoinedLine, SaleView};
use sale::{Availability, BuyerId, LinePosition, Refusal, SaleId, Ticket, Timestamp};

/// A buyer's place in a line.
#[derive(Clone, Debug)]
pub struct QueueStatus {
    pub sale: SaleId,
    pub ticket: Ticket,
    pub place: LinePosition,
    /// Whether a unit can be had at all.
    pub availability: Availability,
    /// Estimated seconds until the buyer is admitted; 0 for an admitted buyer.
    pub estimated_wait_s: u64,
    /// Proof of the place.
    pub receipt: LineReceipt,
}

/// The answer to joining.
#[derive(Clone, Debug)]
pub struct JoinResult {
    pub status: QueueStatus,
    /// False when the buyer had it already.
    pub fresh: bool,
}

/// Joins a line. A buyer who is in it already keeps the place and gets it as the reply, so that two tabs agree and a lost reply
/// can be requested again.
///
/// # Errors
/// When the engine does not answer; the buyer may have been given a place all the same, and joining again returns it.
pub async fn join(shop: &Shop, sale: SaleId, buyer: BuyerId) -> Decision<JoinResult> {
    let now = shop.engine.now();
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale) };
    if let Some(refusal) = sale::refusal_for_every_join(now, &view.policy, view.phase(now)) {
        shop.attempts.record_refusal(sale, Some(buyer), "join", refusal.code(), now);
        return Ok(Err(refusal));
    }
    if let Err(refusal) = claim_mailbox(shop, sale, buyer).await? {
        shop.attempts.record_refusal(sale, Some(buyer), "join", refusal.code(), now);
        return Ok(Err(refusal));
    }
    let (ticket, place, fresh) = match shop.engine.join(sale, buyer).await? {
        Ok(JoinedLine { ticket, position }) => (ticket, LinePosition::Waiting { position }, true),
        Err(Refusal::AlreadyInLine { ticket, place }) => (ticket, place, false),
        Err(refusal) => {
            shop.attempts.record_refusal(sale, Some(buyer), "join", refusal.code(), now);
            return Ok(Err(refusal));
        }
    };
    Ok(Ok(JoinResult { status: queue_status(shop, &view, buyer, ticket, place, now), fresh }))
}

/// A buyer's place, or `None` when the buyer is not in the line.
///
/// # Errors
/// When the engine does not answer.
pub async fn find_position(
    shop: &Shop,
    sale: SaleId,
    buyer: BuyerId,
) -> Result<Option<QueueStatus>, EngineError> {
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale) };
    let view_of_buyer = shop.engine.buyer(sale, buyer).await?;
    let now = shop.engine.now();
    Ok(view_of_buyer
        .ticket
        .zip(view_of_buyer.place)
        .map(|(ticket, place)| queue_status(shop, &view, buyer, ticket, place, now)))
}

/// Gives an admitted buyer more time, once, where the sale promises it. A repeat returns the same end.
///
/// # Errors
/// When the engine does not answer; asking again is safe.
pub async fn extend(shop: &Shop, sale: SaleId, buyer: BuyerId) -> Decision<QueueStatus> {
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale) };
    let extended = shop.engine.extend(sale, buyer).await?;
    Ok(extended.map(|ExtendedAdmission { ticket, until, .. }| {
        let place = LinePosition::Admitted { until, extension_s: 0 };
        queue_status(shop, &view, buyer, ticket, place, shop.engine.now())
    }))
}

/// Leaves a line, or gives an admission back.
///
/// # Errors
/// When the engine does not answer; leaving again is safe.
pub async fn leave(shop: &Shop, sale: SaleId, buyer: BuyerId) -> Decision<Ticket> {
    shop.engine.leave(sale, buyer).await
}

fn queue_status(
    shop: &Shop,
    view: &SaleView,
    buyer: BuyerId,
    ticket: Ticket,
    place: LinePosition,
    now: Timestamp,
) -> QueueStatus {
    let estimated_wait_s = estimated_wait_s(view, place, now);
    QueueStatus {
        sale: view.id,
        ticket,
        place,
        availability: view.availability,
        estimated_wait_s,
        receipt: shop.receipts.issue(view.id, buyer, ticket),
    }
}

/// Seconds until the line reaches this place, as [`sale::Policy::estimated_wait_s`] estimates it; 0 for an admitted buyer.
#[must_use]
pub fn estimated_wait_s(view: &SaleView, place: LinePosition, now: Timestamp) -> u64 {
    match place {
        LinePosition::Waiting { position } => view.policy.estimated_wait_s(position, now),
        LinePosition::Admitted { .. } => 0,
    }
}
