//! The waiting line: join it, look where one stands, ask for more time, leave it. Every answer is one of the law; what is added here is an
//! honest estimate and a receipt. It never keeps a place of its own.

use super::Shop;
use super::receipts::Receipt;
use engine::{EngineError, SaleView};
use sale::{
    Admission, Availability, BuyerId, Command, Outcome, Phase, Place, Refusal, SaleId, Ticket, Timestamp,
};

/// A buyer's place in a line.
#[derive(Clone, Debug)]
pub struct Standing {
    /// In which sale.
    pub sale: SaleId,
    /// The buyer's number.
    pub ticket: Ticket,
    /// Where they stand.
    pub place: Place,
    /// Whether a unit can be had at all.
    pub availability: Availability,
    /// Seconds until their turn, as far as the sale's pace tells; 0 when it is their turn.
    pub estimated_wait_s: u64,
    /// Proof of the place.
    pub receipt: Receipt,
}

/// The answer to joining.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The place.
    pub standing: Standing,
    /// False when the buyer had it already.
    pub fresh: bool,
}

/// The outer result is whether there is an answer, the inner one the answer.
type Answered<T> = Result<Result<T, Refusal>, EngineError>;

/// Joins a line. Whoever is in it already keeps the place and is told it: two tabs agree, and a lost reply can be asked for
/// again.
///
/// # Errors
/// When the engine cannot answer; the buyer may have been given a place all the same, and joining again tells it.
pub async fn join(shop: &Shop, sale: SaleId, buyer: BuyerId) -> Answered<Joined> {
    let now = shop.engine.now();
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale) };
    if let Some(refusal) = refusal_for_all_joiners(&view, now) {
        shop.attempts.refused(sale, Some(buyer), "join", refusal.code(), now);
        return Ok(Err(refusal));
    }
    let answer = shop.engine.command(sale, Command::Join { buyer }).await?;
    let (ticket, place, fresh) = match answer.outcome {
        Outcome::Joined { ticket, position } => (ticket, Place::Waiting { position }, true),
        Outcome::Refused(Refusal::AlreadyInLine { ticket, place }) => (ticket, place, false),
        Outcome::Refused(refusal) => {
            shop.attempts.refused(sale, Some(buyer), "join", refusal.code(), now);
            return Ok(Err(refusal));
        }
        Outcome::Done | Outcome::Left { .. } | Outcome::Extended { .. } | Outcome::Order { .. } => {
            return Err(EngineError::NoSuchSale);
        }
    };
    Ok(Ok(Joined { standing: standing(shop, &view, buyer, ticket, place, now), fresh }))
}

/// Where a buyer stands, or `None` when they are not in the line.
///
/// # Errors
/// When the engine cannot answer.
pub async fn position(shop: &Shop, sale: SaleId, buyer: BuyerId) -> Result<Option<Standing>, EngineError> {
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale) };
    let stands = shop.engine.buyer(sale, buyer).await?;
    let now = shop.engine.now();
    Ok(stands
        .ticket
        .zip(stands.place)
        .map(|(ticket, place)| standing(shop, &view, buyer, ticket, place, now)))
}

/// Gives whoever is admitted more time, once, where the sale promises it. Asking again tells the same end.
///
/// # Errors
/// When the engine cannot answer; asking again is safe.
pub async fn extend(shop: &Shop, sale: SaleId, buyer: BuyerId) -> Answered<Standing> {
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale) };
    let answer = shop.engine.command(sale, Command::Extend { buyer }).await?;
    match answer.outcome {
        Outcome::Extended { ticket, until, .. } => {
            let place = Place::Admitted { until, extension_s: 0 };
            Ok(Ok(standing(shop, &view, buyer, ticket, place, shop.engine.now())))
        }
        Outcome::Refused(refusal) => Ok(Err(refusal)),
        Outcome::Done | Outcome::Joined { .. } | Outcome::Left { .. } | Outcome::Order { .. } => {
            Err(EngineError::NoSuchSale)
        }
    }
}

/// Leaves a line, or gives an admission back.
///
/// # Errors
/// When the engine cannot answer; leaving again is safe.
pub async fn leave(shop: &Shop, sale: SaleId, buyer: BuyerId) -> Answered<Ticket> {
    let answer = shop.engine.command(sale, Command::Leave { buyer }).await?;
    match answer.outcome {
        Outcome::Left { ticket } => Ok(Ok(ticket)),
        Outcome::Refused(refusal) => Ok(Err(refusal)),
        Outcome::Done | Outcome::Joined { .. } | Outcome::Extended { .. } | Outcome::Order { .. } => {
            Err(EngineError::NoSuchSale)
        }
    }
}

/// A refusal that holds for everyone who would join now, whether they have a place or not: told without the pipeline.
fn refusal_for_all_joiners(view: &SaleView, now: Timestamp) -> Option<Refusal> {
    match view.phase(now) {
        Phase::Closed => return Some(Refusal::Closed),
        Phase::Ended => return Some(Refusal::Ended),
        Phase::Upcoming | Phase::Active | Phase::Paused => {}
    }
    match view.policy.line_opens_at() {
        None => Some(Refusal::NoLine),
        Some(opens_at) if now < opens_at => Some(Refusal::NotStarted),
        Some(_) => None,
    }
}

fn standing(
    shop: &Shop,
    view: &SaleView,
    buyer: BuyerId,
    ticket: Ticket,
    place: Place,
    now: Timestamp,
) -> Standing {
    let estimated_wait_s = estimated_wait_s(view, place, now);
    Standing {
        sale: view.id,
        ticket,
        place,
        availability: view.availability,
        estimated_wait_s,
        receipt: shop.receipts.of(view.id, buyer, ticket),
    }
}

/// Seconds until the turnstile can have served everyone up to this place: the time to the start, and then the pace.
/// Buyers ahead who leave shorten it; a pause, or units that are all in carts, lengthen it.
#[must_use]
pub fn estimated_wait_s(view: &SaleView, place: Place, now: Timestamp) -> u64 {
    let Place::Waiting { position } = place else { return 0 };
    let Admission::Fifo { per_second, .. } = view.policy.admission else { return 0 };
    let until_start_ms = view.policy.starts_at.ms_since(now).max(0).unsigned_abs();
    // Whoever is among the first `per_second` is admitted within the first second.
    until_start_ms.div_ceil(1000) + u64::from((position - 1) / per_second.max(1))
}
