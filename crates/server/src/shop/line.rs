//! The waiting line: join, find, extend, leave. The law decides; this adds how a place ended, an estimate of the wait and a receipt. It
//! never keeps a place.

use super::Shop;
use super::confirmed_emails::check_confirmed_email;
use super::mailboxes::claim_mailbox;
use super::receipts::LineReceipt;
use super::unanswered::UnansweredError;
use crate::store::queue::{self, QueueEntryStatus};
use engine::{Decision, EngineError, ExtendedAdmission, JoinedLine, SaleView};
use sale::{Availability, BuyerId, LinePosition, Refusal, SaleId, SalePhase, Ticket, Timestamp};

/// So long after the end of a sale a buyer is still answered how the place ended: a day, in milliseconds.
const ENDED_PLACES_KEPT_MS: i64 = 86_400_000;

/// A buyer's place in a line.
#[derive(Clone, Debug)]
pub struct QueueStatus {
    pub sale: SaleId,
    pub ticket: Ticket,
    pub place: PlaceStatus,
    pub figures: PlaceContext,
    /// Proof of the place.
    pub receipt: LineReceipt,
}

/// Where a buyer is in a line, or how the place ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceStatus {
    InLine(LinePosition),
    /// The buyer waits, and no turn comes any more.
    Over(OverCause),
    /// The admission was not used in time.
    Lapsed {
        at: Timestamp,
    },
    /// The buyer gave the place up.
    Left {
        at: Timestamp,
    },
}

/// Why no turn comes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverCause {
    Ended,
    Closed,
    /// The sale is not listed any more.
    Deleted,
}

/// What is said of the sale with a place.
#[derive(Clone, Copy, Debug)]
pub struct PlaceContext {
    pub availability: Availability,
    /// Whether no buyer can be admitted any more.
    pub is_over: bool,
    /// Units that are not sold.
    pub units_left: u32,
    /// Estimated seconds until a waiting buyer is admitted, where that can be said.
    pub estimated_wait_s: Option<u64>,
    /// Since when the sale is paused; `None` while it is not.
    pub paused_at: Option<Timestamp>,
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
    // While this process decides or records nothing, its view may be old.
    if shop.engine.is_working()
        && let Some(refusal) = sale::refusal_for_every_join(now, &view.policy, view.phase(now))
    {
        shop.attempts.record_refusal(sale, Some(buyer), "join", refusal.code(), now);
        return Ok(Err(refusal));
    }
    // Who may not buy must not take the mailbox from another.
    if let Err(refusal) = check_confirmed_email(shop, sale, buyer).await? {
        shop.attempts.record_refusal(sale, Some(buyer), "join", refusal.code(), now);
        return Ok(Err(refusal));
    }
    if let Err(refusal) = claim_mailbox(shop, sale, buyer).await? {
        shop.attempts.record_refusal(sale, Some(buyer), "join", refusal.code(), now);
        return Ok(Err(refusal));
    }
    let (ticket, position, fresh) = match shop.engine.join(sale, buyer).await? {
        Ok(JoinedLine { ticket, position }) => (ticket, LinePosition::Waiting { position }, true),
        Err(Refusal::AlreadyInLine { ticket, place }) => (ticket, place, false),
        Err(refusal) => {
            shop.attempts.record_refusal(sale, Some(buyer), "join", refusal.code(), now);
            return Ok(Err(refusal));
        }
    };
    Ok(Ok(JoinResult { status: queue_status(shop, sale, buyer, (ticket, position))?, fresh }))
}

/// A buyer's place, or how it ended; `None` when the buyer has none, and when it became an order. How a place ended is in the tables,
/// so the reply waits a little for them to catch up. It is answered until the buyer joins again, or a day after the end of the sale.
///
/// # Errors
/// When the engine or the tables do not answer.
pub async fn find_position(
    shop: &Shop,
    sale: SaleId,
    buyer: BuyerId,
) -> Result<Option<QueueStatus>, UnansweredError> {
    let view_of_buyer = shop.engine.buyer(sale, buyer).await?;
    if let Some(place) = view_of_buyer.ticket.zip(view_of_buyer.place) {
        return Ok(Some(queue_status(shop, sale, buyer, place)?));
    }
    // Most who ask without a place never had one, and cost no query.
    if !view_of_buyer.has_history {
        return Ok(None);
    }
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale.into()) };
    let now = shop.engine.now();
    if view.policy.line_opens_at().is_none() || now >= view.policy.ends_at.plus_ms(ENDED_PLACES_KEPT_MS) {
        return Ok(None);
    }
    shop.projected.wait_for(sale, view.seq, shop.catch_up_timeouts.place).await;
    let Some(row) = queue::find_newest(&shop.store, sale, buyer).await? else { return Ok(None) };
    let place = match row.status {
        QueueEntryStatus::Lapsed => PlaceStatus::Lapsed { at: row.changed_at },
        QueueEntryStatus::Left => PlaceStatus::Left { at: row.changed_at },
        // An order has a document of its own.
        QueueEntryStatus::Served => return Ok(None),
        // The row is older than the engine's answer: how the place ended is not known yet, and "no place" would be wrong.
        QueueEntryStatus::Waiting | QueueEntryStatus::Admitted { .. } => {
            return Err(EngineError::StateUnknown.into());
        }
    };
    let receipt = shop.receipts.issue(sale, buyer, row.ticket);
    Ok(Some(QueueStatus {
        sale,
        ticket: row.ticket,
        place,
        figures: read_place_context(&view, None, now),
        receipt,
    }))
}

/// Gives an admitted buyer more time, once, where the sale promises it. A repeat returns the same end.
///
/// # Errors
/// When the engine does not answer; asking again is safe.
pub async fn extend(shop: &Shop, sale: SaleId, buyer: BuyerId) -> Decision<QueueStatus> {
    match shop.engine.extend(sale, buyer).await? {
        Ok(ExtendedAdmission { ticket, until, .. }) => {
            let position = LinePosition::Admitted { until, extension_s: 0 };
            Ok(Ok(queue_status(shop, sale, buyer, (ticket, position))?))
        }
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Leaves a line, or gives an admission back.
///
/// # Errors
/// When the engine does not answer; leaving again is safe.
pub async fn leave(shop: &Shop, sale: SaleId, buyer: BuyerId) -> Decision<Ticket> {
    shop.engine.leave(sale, buyer).await
}

/// The status of a buyer who is in line. It reads the sale after the engine's answer, so that the answer is not newer.
fn queue_status(
    shop: &Shop,
    sale: SaleId,
    buyer: BuyerId,
    (ticket, position): (Ticket, LinePosition),
) -> Result<QueueStatus, EngineError> {
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale) };
    let now = shop.engine.now();
    let place = match (position, find_over_cause(shop, &view, now)) {
        (LinePosition::Waiting { .. }, Some(cause)) => PlaceStatus::Over(cause),
        (position, _) => PlaceStatus::InLine(position),
    };
    let figures = read_place_context(&view, Some((ticket, position)), now);
    Ok(QueueStatus { sale, ticket, place, figures, receipt: shop.receipts.issue(sale, buyer, ticket) })
}

/// Whether the engine knows the sale, listed or not.
#[must_use]
pub fn is_known_sale(shop: &Shop, sale: SaleId) -> bool {
    shop.engine.views().get(sale).is_some()
}

/// Why no buyer is admitted any more; `None` while one may be.
#[must_use]
pub fn find_over_cause(shop: &Shop, view: &SaleView, now: Timestamp) -> Option<OverCause> {
    match view.phase(now) {
        phase if !phase.is_over() => None,
        _ if !shop.catalogue.contains(view.id) => Some(OverCause::Deleted),
        SalePhase::Closed => Some(OverCause::Closed),
        _ => Some(OverCause::Ended),
    }
}

/// What is said of a sale with a place; with an estimate where a buyer waits and one can be given.
#[must_use]
pub fn read_place_context(
    view: &SaleView,
    place: Option<(Ticket, LinePosition)>,
    now: Timestamp,
) -> PlaceContext {
    let estimated_wait_s = match place {
        Some((ticket, LinePosition::Waiting { position })) => {
            view.line_moment(now).estimate_wait_s(ticket, position)
        }
        Some((_, LinePosition::Admitted { .. })) | None => None,
    };
    PlaceContext {
        availability: view.availability,
        is_over: view.is_over(now),
        units_left: view.counters.unsold(),
        estimated_wait_s,
        paused_at: view.paused_at(),
    }
}
