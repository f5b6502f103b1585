//! Gives back units that were sold to a buyer whose key another job had used by then: two instances had the key at the same moment, for
//! two buyers. The first row keeps the key; the other unit goes back into its sale.

use crate::shop::Shop;
use crate::shop::unanswered::UnansweredError;
use crate::store::turnstile_jobs as table;
use engine::EngineError;

/// Units that one call gives back at most.
const STRAY_LEN: u32 = 100;

/// Gives back the units that are noted. What fails is tried again by the next call.
pub async fn return_stray_units(shop: &Shop) {
    if let Err(error) = return_units(shop).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(
            error,
            "a unit that was sold for a used key could not be given back; it is tried again in ten minutes; see to the engine and the database"
        );
    }
}

async fn return_units(shop: &Shop) -> Result<(), UnansweredError> {
    for stray in table::list_stray(&shop.store, STRAY_LEN).await? {
        match shop.engine.refund(stray.sale, stray.order, true).await {
            // A refusal: an admin has refunded the order before.
            Ok(Ok(_) | Err(_)) | Err(EngineError::NoSuchSale) => {
                table::delete_stray(&shop.store, stray.order).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
