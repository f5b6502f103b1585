//! The one sale of a counter that sells one sale: which it is, and whether it sells now.

use super::{ListedSale, find_current, find_named, find_named_or_refresh};
use crate::shop::Shop;
use sale::{AdmissionMode, SalePhase, Timestamp};

impl ListedSale {
    /// Whether a purchase needs neither a turn in a line nor a payment.
    #[must_use]
    pub fn sells_at_once(&self) -> bool {
        self.view.policy.sells_at_once() && self.view.policy.admission == AdmissionMode::Open
    }
}

/// The named sale; without a name the current one. The name of a setting stays that of its sale when the sale gets another slug.
#[must_use]
pub fn find_chosen(shop: &Shop, name: Option<&str>) -> Option<ListedSale> {
    let Some(name) = name else { return find_current(shop) };
    find_named(shop, name).or_else(|| {
        let listing = shop.catalogue.find_by_former_slug(name)?;
        let view = shop.engine.views().get(listing.sale)?;
        Some(ListedSale { listing, view })
    })
}

/// [`find_chosen`], also for a named sale that another process has just made.
pub async fn find_chosen_or_refresh(shop: &Shop, name: Option<&str>) -> Option<ListedSale> {
    match (find_chosen(shop, name), name) {
        (None, Some(name)) => find_named_or_refresh(shop, name).await,
        (found, _) => found,
    }
}

/// `open` while the sale sells at once to anyone, else `closed`. A sale whose units are all sold is still open.
#[must_use]
pub fn describe_gate(sale: Option<&ListedSale>, now: Timestamp) -> &'static str {
    let is_open = sale.is_some_and(|sale| sale.sells_at_once() && sale.view.phase(now) == SalePhase::Active);
    if is_open { "open" } else { "closed" }
}
