//! The one sale of a counter that sells one sale: which it is, and whether it sells now.

use super::{ListedSale, find_current, find_named};
use crate::shop::Shop;
use sale::{AdmissionMode, SalePhase, Timestamp};

impl ListedSale {
    /// Whether a purchase needs neither a turn in a line nor a payment.
    #[must_use]
    pub fn sells_at_once(&self) -> bool {
        self.view.policy.sells_at_once() && self.view.policy.admission == AdmissionMode::Open
    }
}

/// The named sale; without a name the current one.
#[must_use]
pub fn find_chosen(shop: &Shop, name: Option<&str>) -> Option<ListedSale> {
    match name {
        Some(name) => find_named(shop, name),
        None => find_current(shop),
    }
}

/// `open` while the sale sells at once to anyone, else `closed`. A sale whose units are all sold is still open.
#[must_use]
pub fn describe_gate(sale: Option<&ListedSale>, now: Timestamp) -> &'static str {
    let is_open = sale.is_some_and(|sale| sale.sells_at_once() && sale.view.phase(now) == SalePhase::Active);
    if is_open { "open" } else { "closed" }
}
