//! Orders one unit of a buyer's hold and pays for it, in one step that may be repeated: a call that was interrupted between the two leaves a
//! pending order, and the next call pays for that. The law and [`super::payments`] decide.

use super::Shop;
use super::orders::PricedOrder;
use super::payments::{PayRequest, PaymentError, PaymentRefusal};
use super::sales::{self, ListedSale, PaymentMode};
use super::single_orders::{self, OtherOrders, SinglePurchase};
use engine::EngineError;
use sale::{Availability, BuyerId, LinePosition, OrderStatus, Refusal, SaleId};
use std::time::Duration;

/// Time between two looks at a payment that another call makes.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Looks at it, at most: ten seconds.
const LOOKS_MAX: u32 = 500;
/// Orders that are begun in one call: each after one that ended meanwhile.
const ORDERS_MAX: u32 = 4;

/// Why nothing was sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckoutRefusal {
    /// The buyer has no hold: never had one, not yet, or it is over.
    NoHold(Refusal),
    /// The law refuses for another reason.
    Law(Refusal),
    /// No money was taken.
    Payment(PaymentRefusal),
}

/// Why there is no answer. The same call is safe to repeat, and finds out.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Payment(#[from] PaymentError),
}

/// The order of a hold that was bought.
#[derive(Clone, Copy, Debug)]
pub struct BoughtHold {
    pub order: PricedOrder,
    /// Units of the sale that were not sold right after the purchase; of a payment or an earlier purchase, when this call has ended.
    pub unsold: u32,
    /// Whether an earlier call had bought it.
    pub repeated: bool,
}

/// Sells the unit of a buyer's hold, through a payment by `method` where the sale needs one. A buyer who owns a unit gets its order.
/// Concurrent calls give the same order. A holder may buy after the sale's end, until the hold ends.
///
/// # Errors
/// When the engine, the tables or the provider do not answer.
pub async fn buy_held_unit(
    shop: &Shop,
    sale: SaleId,
    buyer: BuyerId,
    others: OtherOrders,
    method: &str,
) -> Result<Result<BoughtHold, CheckoutRefusal>, CheckoutError> {
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale.into()) };
    if view.policy.line_opens_at().is_none() {
        return Ok(Err(CheckoutRefusal::NoHold(Refusal::NoLine)));
    }
    let mut begun = 0;
    for _ in 0..LOOKS_MAX {
        let order = match single_orders::buy_one(shop, sale, buyer, others).await? {
            SinglePurchase::Bought { order, unsold } if order.view.status == OrderStatus::Confirmed => {
                return Ok(Ok(BoughtHold { order, unsold, repeated: false }));
            }
            SinglePurchase::Bought { order, .. } | SinglePurchase::Owned(order) => order,
            SinglePurchase::Refused(refusal) => {
                return Ok(Err(explain_refusal(shop, (sale, buyer), refusal).await?));
            }
        };
        if order.view.status == OrderStatus::Confirmed {
            return Ok(Ok(BoughtHold { order, unsold: sales::remaining_units(shop, sale), repeated: true }));
        }
        // Without an idempotency key: one order has one payment at a time, and one that was voided may be followed by another.
        let method = (order.total().minor > 0).then(|| method.to_owned());
        let request = PayRequest { buyer, order: order.view.id, method, key: None, language: "" };
        match shop.payments.pay(request).await? {
            Ok(paid) if paid.order.view.status == OrderStatus::Confirmed => {
                let unsold = sales::remaining_units(shop, sale);
                return Ok(Ok(BoughtHold { order: paid.order, unsold, repeated: false }));
            }
            // Another call pays for it, or the reply is older than the payment.
            Ok(_) | Err(PaymentRefusal::InFlight) => tokio::time::sleep(POLL_INTERVAL).await,
            // It ended meanwhile: the hold may be over, and the law says so.
            Err(
                refusal @ (PaymentRefusal::OrderGone(_)
                | PaymentRefusal::OrderState(_)
                | PaymentRefusal::OrderUnknown),
            ) => {
                begun += 1;
                if begun >= ORDERS_MAX {
                    return Ok(Err(CheckoutRefusal::Payment(refusal)));
                }
            }
            Err(
                refusal @ (PaymentRefusal::Declined { .. }
                | PaymentRefusal::UnknownMethod
                | PaymentRefusal::MissingMethod
                | PaymentRefusal::PaymentMissing
                | PaymentRefusal::RefundTooHigh { .. }
                | PaymentRefusal::PartRestock
                | PaymentRefusal::RefundRefused
                | PaymentRefusal::Disputed
                | PaymentRefusal::KeyReused),
            ) => return Ok(Err(CheckoutRefusal::Payment(refusal))),
        }
    }
    Err(PaymentError::Unsettled.into())
}

async fn explain_refusal(
    shop: &Shop,
    (sale, buyer): (SaleId, BuyerId),
    refusal: Refusal,
) -> Result<CheckoutRefusal, EngineError> {
    let refusal = match refusal {
        // The law says first that the sale is paused. Who has no hold is not kept waiting by that.
        Refusal::Paused => find_missing_hold(shop, sale, buyer).await?.unwrap_or(refusal),
        refusal => refusal,
    };
    let is_sold_out =
        shop.engine.views().get(sale).is_some_and(|view| {
            view.availability == Availability::SoldOut && !view.is_over(shop.engine.now())
        });
    Ok(match refusal {
        Refusal::NotAdmitted { .. } | Refusal::NotInLine if is_sold_out => {
            CheckoutRefusal::Law(Refusal::SoldOut)
        }
        Refusal::NotAdmitted { .. }
        | Refusal::NotInLine
        | Refusal::NotStarted
        | Refusal::Ended
        | Refusal::Closed
        | Refusal::NoLine => CheckoutRefusal::NoHold(refusal),
        _ => CheckoutRefusal::Law(refusal),
    })
}

/// Why a buyer has no hold; `None` when there is one.
async fn find_missing_hold(
    shop: &Shop,
    sale: SaleId,
    buyer: BuyerId,
) -> Result<Option<Refusal>, EngineError> {
    let view = shop.engine.buyer(sale, buyer).await?;
    Ok(match (view.place, view.ticket) {
        (Some(LinePosition::Admitted { .. }), _) => None,
        (Some(LinePosition::Waiting { position }), Some(ticket)) => {
            Some(Refusal::NotAdmitted { ticket, position })
        }
        _ => Some(Refusal::NotInLine),
    })
}

/// Whether a caller who names methods of one provider alone can pay for the orders of a sale. One that costs nothing needs no method.
#[must_use]
pub fn is_payable_through(shop: &Shop, sale: &ListedSale, provider: &str) -> bool {
    let (listing, policy) = (&sale.listing, &sale.view.policy);
    policy.unit_price.minor == 0
        || PaymentMode::from_listing(listing, policy) == PaymentMode::Nothing
        || (listing.provider == provider && shop.payments.providers().get(provider).is_some())
}

/// A sale that is not over and whose orders such a caller cannot pay for, if there is one.
#[must_use]
pub fn find_unpayable_sale(shop: &Shop, provider: &str) -> Option<ListedSale> {
    let now = shop.engine.now();
    let all = sales::list(shop, None, None, usize::MAX).into_iter();
    let mut open = all.filter(|sale| !sale.view.is_over(now));
    open.find(|sale| !is_payable_through(shop, sale, provider))
}
