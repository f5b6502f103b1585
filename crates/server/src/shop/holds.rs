//! A buyer's hold in a sale with a line: the unit that an admission sets aside, or that a pending order made of one. It joins the line and
//! reads place, hold and line in one reply. The law decides; nothing is kept here.

use super::Shop;
use super::line::{self, PlaceStatus};
use super::orders::PricedOrder;
use super::single_orders::find_owned;
use engine::{EngineError, SaleView};
use sale::{BuyerId, LinePosition, OrderStatus, Refusal, SaleId, Timestamp};

/// What a buyer has in a sale.
#[derive(Clone, Copy, Debug)]
pub enum HoldState {
    /// No place, no hold and no unit.
    Nothing,
    Waiting {
        /// Waiting buyers ahead, plus one.
        position: u32,
    },
    /// A unit is set aside.
    Held {
        /// Seconds left, rounded up. They stand still while the sale is paused, except for those of an order.
        seconds_left: u32,
        /// The order that the hold became, which is not paid for yet.
        order: Option<PricedOrder>,
    },
    /// The buyer owns a unit.
    Bought(PricedOrder),
}

/// A buyer's hold, and how many buyers are in line.
#[derive(Clone, Copy, Debug)]
pub struct HoldStatus {
    pub state: HoldState,
    /// Buyers who wait or have a hold.
    pub line_size: u32,
}

/// The answer to joining.
#[derive(Clone, Copy, Debug)]
pub struct JoinedHold {
    pub status: HoldStatus,
    /// False when the buyer had a place or a hold before, and keeps it.
    pub is_new: bool,
}

/// Why a buyer cannot join. Nothing was changed.
#[derive(Clone, Copy, Debug)]
pub enum HoldRefusal {
    /// The buyer owns a unit.
    Bought(PricedOrder),
    Law(Refusal),
}

/// Joins the line of a sale. A buyer who is in it, or has a hold, keeps what they have and gets it as the reply, also after the sale's end.
///
/// # Errors
/// When the engine does not answer; joining again is safe.
pub async fn join(
    shop: &Shop,
    sale: SaleId,
    buyer: BuyerId,
) -> Result<Result<JoinedHold, HoldRefusal>, EngineError> {
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale) };
    // Where a buyer may have several units, the law lets an owner join again.
    if view.policy.limit_per_buyer > 1
        && let Some(order) = find_owned(shop, sale, buyer).await?
    {
        return describe_owner(shop, sale, order);
    }
    let (place, is_new) = match line::join(shop, sale, buyer).await? {
        Ok(joined) => (joined.status.place, joined.fresh),
        Err(refusal) => return explain_refusal(shop, sale, buyer, refusal).await,
    };
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale) };
    let now = shop.engine.now();
    match place {
        // Nobody waits any more, so the buyer was admitted at once.
        PlaceStatus::InLine(LinePosition::Waiting { .. }) if view.waiting(now) == 0 => {
            let status = read_status(shop, sale, buyer).await?;
            Ok(Ok(JoinedHold { status, is_new }))
        }
        PlaceStatus::InLine(position) => {
            let state = describe_position(&view, position, now);
            let status = HoldStatus { state, line_size: count_line(&view, now) };
            Ok(Ok(JoinedHold { status, is_new }))
        }
        PlaceStatus::Over(_) | PlaceStatus::Lapsed { .. } | PlaceStatus::Left { .. } => {
            Ok(Err(HoldRefusal::Law(Refusal::Ended)))
        }
    }
}

/// What a buyer has in a sale, from the engine's state.
///
/// # Errors
/// When the engine does not answer.
pub async fn read_status(shop: &Shop, sale: SaleId, buyer: BuyerId) -> Result<HoldStatus, EngineError> {
    let buyer_view = shop.engine.buyer(sale, buyer).await?;
    // Read after the engine's answer, so that the line is not older.
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale) };
    let now = shop.engine.now();
    let state = buyer_view.place.map_or(HoldState::Nothing, |place| describe_position(&view, place, now));
    let has_units = buyer_view.held + buyer_view.owned > 0;
    if !matches!(state, HoldState::Nothing) || !has_units {
        return Ok(HoldStatus { state, line_size: count_line(&view, now) });
    }
    let state = match find_owned(shop, sale, buyer).await? {
        Some(order) => describe_order(order, now),
        None => HoldState::Nothing,
    };
    // An order's hold is not in the line any more, and its buyer has one all the same.
    let own = u32::from(matches!(state, HoldState::Held { .. }));
    Ok(HoldStatus { state, line_size: count_line(&view, now) + own })
}

/// Buyers who wait or are admitted.
#[must_use]
pub fn count_line(view: &SaleView, now: Timestamp) -> u32 {
    view.waiting(now).saturating_add(view.counters.admitted)
}

/// Seconds until an admission ends, rounded up; 0 when it is over. A pause stops them.
#[must_use]
pub fn seconds_left(view: &SaleView, until: Timestamp, now: Timestamp) -> u32 {
    count_seconds(until, view.paused_at().unwrap_or(now))
}

async fn explain_refusal(
    shop: &Shop,
    sale: SaleId,
    buyer: BuyerId,
    refusal: Refusal,
) -> Result<Result<JoinedHold, HoldRefusal>, EngineError> {
    let status = read_status(shop, sale, buyer).await?;
    Ok(match status.state {
        HoldState::Nothing => Err(HoldRefusal::Law(refusal)),
        HoldState::Bought(order) => Err(HoldRefusal::Bought(order)),
        HoldState::Waiting { .. } | HoldState::Held { .. } => Ok(JoinedHold { status, is_new: false }),
    })
}

fn describe_owner(
    shop: &Shop,
    sale: SaleId,
    order: PricedOrder,
) -> Result<Result<JoinedHold, HoldRefusal>, EngineError> {
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale) };
    let now = shop.engine.now();
    Ok(match describe_order(order, now) {
        HoldState::Bought(order) => Err(HoldRefusal::Bought(order)),
        state => {
            let status = HoldStatus { state, line_size: count_line(&view, now) + 1 };
            Ok(JoinedHold { status, is_new: false })
        }
    })
}

/// What a place is worth: an admission that is over is nothing, and so is a place in a line that admits nobody any more.
fn describe_position(view: &SaleView, position: LinePosition, now: Timestamp) -> HoldState {
    match position {
        LinePosition::Waiting { .. } if view.is_over(now) => HoldState::Nothing,
        LinePosition::Waiting { position } => HoldState::Waiting { position },
        LinePosition::Admitted { until, .. } => match seconds_left(view, until, now) {
            0 => HoldState::Nothing,
            seconds_left => HoldState::Held { seconds_left, order: None },
        },
    }
}

fn describe_order(order: PricedOrder, now: Timestamp) -> HoldState {
    match order.view.status {
        OrderStatus::Pending { until, paying_until } => {
            let until = paying_until.map_or(until, |paying| paying.max(until));
            // The engine has not ended it yet.
            HoldState::Held { seconds_left: count_seconds(until, now).max(1), order: Some(order) }
        }
        _ => HoldState::Bought(order),
    }
}

pub(super) fn count_seconds(until: Timestamp, now: Timestamp) -> u32 {
    let ms = until.ms_since(now).max(0);
    u32::try_from(ms.unsigned_abs().div_ceil(1000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up() {
        for (until, expected) in [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (-5, 0)] {
            assert_eq!(count_seconds(Timestamp(10_000 + until), Timestamp(10_000)), expected, "{until}");
        }
    }
}
