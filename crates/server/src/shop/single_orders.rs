//! One unit for each buyer of a sale, whatever its limit per buyer is: for callers that promise that. An order that has ended without a
//! sale does not count, so its buyer may buy again.

use super::Shop;
use super::orders::{PricedOrder, ReservedOrder, reserve_with_key, with_price};
use engine::EngineError;
use sale::{BuyerId, OrderStatus, Refusal, RequestKey, SaleId};
use sha2::{Digest, Sha256};

/// The result of a purchase of one unit.
#[derive(Clone, Copy, Debug)]
pub enum SinglePurchase {
    /// It made this order.
    Bought {
        order: PricedOrder,
        /// Units of the sale that were not sold right after it.
        unsold: u32,
    },
    /// The buyer had this order already; nothing was changed.
    Owned(PricedOrder),
    /// Nothing was changed.
    Refused(Refusal),
}

/// Whether a buyer can have orders that [`buy_one`] did not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherOrders {
    /// The buyer is a guest of one dialect.
    Impossible,
    /// The buyer has an account, and may order by the native API too.
    Possible,
}

/// How often a purchase is tried again when the buyer's order has just ended.
const TRIES_MAX: u32 = 4;

/// Buys one unit, if the buyer has no order in the sale that counts. Concurrent calls for one buyer make one order.
///
/// # Errors
/// When the engine does not answer; the same call finds out what became of it.
pub async fn buy_one(
    shop: &Shop,
    sale: SaleId,
    buyer: BuyerId,
    others: OtherOrders,
) -> Result<SinglePurchase, EngineError> {
    let mut ended = 0;
    if others == OtherOrders::Possible && allows_several(shop, sale) {
        match find_last_owned(shop, sale, buyer).await? {
            (Some(order), _) => return Ok(SinglePurchase::Owned(order)),
            (None, count) => ended = count,
        }
    }
    for _ in 0..TRIES_MAX {
        // The law finds an order by its key before any other rule, also when the sale is over.
        match reserve_with_key(shop, (sale, buyer), 1, derive_key(ended)).await? {
            Ok(ReservedOrder { order, repeated: false, unsold }) => {
                return Ok(SinglePurchase::Bought { order, unsold });
            }
            Ok(ReservedOrder { order, .. }) if counts(order.view.status) => {
                return Ok(SinglePurchase::Owned(order));
            }
            Ok(_) => match find_last_owned(shop, sale, buyer).await? {
                (Some(order), _) => return Ok(SinglePurchase::Owned(order)),
                (None, count) => ended = count,
            },
            Err(refusal) => {
                let owned = match others {
                    OtherOrders::Possible => find_owned(shop, sale, buyer).await?,
                    OtherOrders::Impossible => None,
                };
                return Ok(owned.map_or(SinglePurchase::Refused(refusal), SinglePurchase::Owned));
            }
        }
    }
    // Every order of the buyer ended between two steps of this call.
    Err(EngineError::StateUnknown)
}

/// The buyer's order in a sale that is pending or confirmed, from the engine's state.
///
/// # Errors
/// When the engine does not answer.
pub async fn find_owned(
    shop: &Shop,
    sale: SaleId,
    buyer: BuyerId,
) -> Result<Option<PricedOrder>, EngineError> {
    Ok(find_last_owned(shop, sale, buyer).await?.0)
}

/// All orders of a buyer in a sale, newest first, from the engine's state.
///
/// # Errors
/// When the engine does not answer.
pub async fn list_in_sale(
    shop: &Shop,
    sale: SaleId,
    buyer: BuyerId,
) -> Result<Vec<PricedOrder>, EngineError> {
    let orders = shop.engine.buyer_orders(buyer, vec![sale]).await?;
    Ok(orders.into_iter().filter_map(|(sale, view)| with_price(shop, sale, view)).collect())
}

/// The order that counts, and how many orders the buyer has in the sale.
async fn find_last_owned(
    shop: &Shop,
    sale: SaleId,
    buyer: BuyerId,
) -> Result<(Option<PricedOrder>, usize), EngineError> {
    let orders = list_in_sale(shop, sale, buyer).await?;
    Ok((orders.iter().find(|order| counts(order.view.status)).copied(), orders.len()))
}

fn allows_several(shop: &Shop, sale: SaleId) -> bool {
    shop.engine.views().get(sale).is_none_or(|view| view.policy.limit_per_buyer > 1)
}

fn counts(status: OrderStatus) -> bool {
    matches!(status, OrderStatus::Pending { .. } | OrderStatus::Confirmed)
}

/// The request key of a buyer's order after so many that ended. It depends on nothing else, so concurrent calls send the same.
fn derive_key(ended: usize) -> RequestKey {
    let digest = Sha256::new()
        .chain_update(b"doorbuster single order\0")
        .chain_update((ended as u64).to_be_bytes())
        .finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    RequestKey(key)
}
