//! Whether the units of a sale are paid for, as merchants say it. The law knows only the length of a hold; the sale's row keeps the
//! promise, which never changes.

use super::ListedSale;
use crate::shop::Shop;
use crate::shop::catalogue::{CatalogueError, SaleListing};
use crate::store::sales;
use sale::{Policy, SaleId};

pub use crate::store::sales::PaymentMode;

/// Seconds of a hold when a new sale gives none.
pub const HOLD_S_DEFAULT: u32 = 300;

impl PaymentMode {
    /// Seconds of a hold: the given ones, else those of before, else [`HOLD_S_DEFAULT`].
    #[must_use]
    pub fn resolve_hold_s(payment: Option<Self>, given: Option<u32>, before: u32) -> u32 {
        match (payment, given) {
            (Some(Self::Nothing), _) => 0,
            (_, Some(given)) => given,
            (Some(Self::Required), None) if before == 0 => HOLD_S_DEFAULT,
            (_, None) => before,
        }
    }

    /// A sale whose units are not paid for sells at once, without a hold.
    #[must_use]
    pub fn from_policy(policy: &Policy) -> Self {
        if policy.sells_at_once() { Self::Nothing } else { Self::Required }
    }

    /// What a sale promises: as its row says, and for a row that does not say it yet, as its policy does.
    #[must_use]
    pub fn from_listing(listing: &SaleListing, policy: &Policy) -> Self {
        listing.payment.unwrap_or_else(|| Self::from_policy(policy))
    }
}

/// Whether the units of a sale must be paid for.
#[must_use]
pub fn requires_payment(shop: &Shop, sale: SaleId) -> bool {
    let policy = shop.engine.views().get(sale);
    let stored = shop.catalogue.listing(sale).and_then(|listing| listing.payment);
    let payment = stored.or_else(|| policy.map(|view| PaymentMode::from_policy(&view.policy)));
    payment != Some(PaymentMode::Nothing)
}

/// Writes the payment of sales that were made before there was a column for it, as the length of their hold gives it.
///
/// # Errors
/// When the tables do not answer; the next start does it then.
pub async fn fill_payment_modes(shop: &Shop) -> Result<(), CatalogueError> {
    let unset = sales::list_without_payment(&shop.store).await?;
    if unset.is_empty() {
        return Ok(());
    }
    for id in unset {
        if let Some(ListedSale { view, .. }) = super::find_or_refresh(shop, id).await {
            sales::set_payment(&shop.store, id, PaymentMode::from_policy(&view.policy)).await?;
        }
    }
    Ok(shop.catalogue.refresh(&shop.store).await?)
}
