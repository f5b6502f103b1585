//! Attempts at one unit of a sale by an account, and what became of them: for clients that attempt, and ask for the outcome afterwards.

use super::Shop;
use super::group_commit::RowNotWritten;
use super::sales::ListedSale;
use super::single_orders::{self, OtherOrders, SinglePurchase};
use crate::store::StoreError;
use crate::store::products::ProductId;
use engine::EngineError;
use sale::{BuyerId, OrderStatus, Refusal, SaleId};

/// What a buyer has of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The buyer owns a unit.
    Bought,
    /// The buyer's last attempt was refused as sold out, or the buyer's order ended without a sale.
    Failed,
    /// Every other case: no attempt, an order that is not paid yet.
    Open,
}

/// Why an attempt, or its outcome, is not known.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Memory(#[from] RowNotWritten),
}

/// Buys one unit, as [`single_orders::buy_one`] does, and remembers a refusal because every unit is sold.
///
/// # Errors
/// When the engine or the tables do not answer; the same call finds out what became of it.
pub async fn attempt_purchase(
    shop: &Shop,
    sale: &ListedSale,
    buyer: BuyerId,
) -> Result<SinglePurchase, AttemptError> {
    let purchase = single_orders::buy_one(shop, sale.listing.sale, buyer, OtherOrders::Possible).await?;
    let product = sale.listing.product.id;
    match purchase {
        SinglePurchase::Refused(Refusal::SoldOut) => {
            shop.sold_out.remember(buyer, product, (shop.now)()).await?;
        }
        SinglePurchase::Refused(_) => shop.sold_out.forget(buyer, product).await?,
        // An order says more than any refusal before it.
        SinglePurchase::Bought { .. } | SinglePurchase::Owned(_) => {}
    }
    Ok(purchase)
}

/// What a buyer has of a product that is sold in these sales. The orders are read from the engine's state.
///
/// # Errors
/// When the engine or the tables do not answer.
pub async fn find_outcome(
    shop: &Shop,
    (product, sales): (ProductId, Vec<SaleId>),
    buyer: BuyerId,
) -> Result<AttemptOutcome, AttemptError> {
    let orders = shop.engine.buyer_orders(buyer, sales).await?;
    let has = |is_wanted: fn(OrderStatus) -> bool| orders.iter().any(|(_, order)| is_wanted(order.status));
    if has(|status| status == OrderStatus::Confirmed) {
        return Ok(AttemptOutcome::Bought);
    }
    if has(|status| matches!(status, OrderStatus::Pending { .. })) {
        return Ok(AttemptOutcome::Open);
    }
    let has_failed = !orders.is_empty() || shop.sold_out.contains(buyer, product, (shop.now)()).await?;
    Ok(if has_failed { AttemptOutcome::Failed } else { AttemptOutcome::Open })
}
