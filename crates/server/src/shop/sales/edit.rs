//! Edits a sale: the law decides first, then the catalogue follows.

use super::{ListedSale, PaymentMode, READ_BATCH_LEN, find_or_refresh};
use crate::shop::Shop;
use crate::shop::catalogue::{CatalogueError, CatalogueRefusal, CatalogueResult};
use crate::shop::catalogue_text::Slug;
use crate::store::products::{self, ProductId};
use crate::store::sales;
use engine::SaleView;
use sale::{AdmissionMode, Event, Money, Policy, Refusal, SaleId, Timestamp};
use std::sync::Arc;

/// The fields of a sale to change. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct SaleEdit {
    pub product: Option<ProductId>,
    pub slug: Option<Slug>,
    /// The price of one unit.
    pub price: Option<Money>,
    pub quantity: Option<u32>,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub limit_per_buyer: Option<u32>,
    /// Seconds of a hold; from 0 and to 0 it does not change.
    pub hold_s: Option<u32>,
    /// Only what it is already. [`PaymentMode::Nothing`] wins over `hold_s`.
    pub payment: Option<PaymentMode>,
    pub admission: Option<AdmissionMode>,
}

/// Edits a sale: the law decides first, then the catalogue follows.
///
/// # Errors
/// When the tables or the engine do not answer; editing again is safe.
pub async fn edit(shop: &Shop, id: SaleId, edit: SaleEdit) -> CatalogueResult<ListedSale> {
    let _lock = shop.catalogue.lock_for_edit(&shop.store).await?;
    let Some(ListedSale { listing, view }) = find_or_refresh(shop, id).await else {
        return Ok(Err(CatalogueRefusal::SaleUnknown));
    };
    let product = match edit.product {
        Some(product) if product != listing.product.id => match products::find(&shop.store, product).await? {
            None => return Ok(Err(CatalogueRefusal::NoSuchProduct)),
            Some(_) if has_opened(&view, shop.engine.now()) => {
                return Ok(Err(CatalogueRefusal::Law(Refusal::PromiseMade)));
            }
            Some(product) => Arc::new(product),
        },
        _ => Arc::clone(&listing.product),
    };
    let before = read_policy(shop, &view).await?;
    let policy = edit.apply_to(&before);
    // Whether a unit is paid for is promised with the announcement. Without a hold it would be sold unpaid.
    let payment = PaymentMode::from_listing(&listing, &before);
    if edit.payment.is_some_and(|given| given != payment) || PaymentMode::from_policy(&policy) != payment {
        return Ok(Err(CatalogueRefusal::Law(Refusal::PromiseMade)));
    }
    if policy.unit_price.currency != product.price.currency {
        return Ok(Err(CatalogueRefusal::CurrencyDiffers));
    }
    let problems = policy.problems();
    if !problems.is_empty() {
        return Ok(Err(CatalogueRefusal::BadPolicy(problems)));
    }
    let slug = edit.slug.as_ref().map_or(listing.slug.as_str(), Slug::as_str);
    if slug != listing.slug && !sales::is_slug_free(&shop.store, slug).await? {
        return Ok(Err(CatalogueRefusal::SlugTaken));
    }
    if let Err(refusal) = shop.engine.configure(id, policy).await? {
        return Ok(Err(CatalogueRefusal::Law(refusal)));
    }
    if slug != listing.slug || product.id != listing.product.id {
        sales::update(&shop.store, id, slug, product.id).await?;
        shop.catalogue.refresh(&shop.store).await?;
    }
    Ok(find_or_refresh(shop, id).await.ok_or(CatalogueRefusal::SaleUnknown))
}

/// The policy of a sale as recorded. In a cluster the view of this process may be a moment old, and an edit that starts from it would
/// undo another process's edit.
async fn read_policy(shop: &Shop, view: &SaleView) -> Result<Policy, CatalogueError> {
    let mut policy = Policy::clone(&view.policy);
    if !shop.tenancy.is_cluster() {
        return Ok(policy);
    }
    let mut after = view.seq;
    loop {
        let entries = shop.engine.ledger().read_entries(view.id, after, READ_BATCH_LEN).await?;
        let Some(last) = entries.last() else { return Ok(policy) };
        after = last.seq;
        for entry in &entries {
            apply_to_policy(&mut policy, &entry.event);
        }
    }
}

/// Applies an event to a policy, as `SaleState::apply` does to a whole sale.
fn apply_to_policy(policy: &mut Policy, event: &Event) {
    match event {
        Event::Configured { policy: new } => *policy = Policy::clone(new),
        Event::Restocked { quantity } => policy.quantity = policy.quantity.saturating_add(*quantity),
        _ => {}
    }
}

/// Whether a buyer may have acted on the sale's policy.
fn has_opened(view: &SaleView, now: Timestamp) -> bool {
    let opens_at = view.policy.opens_at();
    let counters = view.counters;
    now >= opens_at || counters.waiting + counters.admitted + counters.held + counters.sold > 0
}

impl SaleEdit {
    fn apply_to(&self, policy: &Policy) -> Policy {
        Policy {
            quantity: self.quantity.unwrap_or(policy.quantity),
            unit_price: self.price.unwrap_or(policy.unit_price),
            starts_at: self.starts_at.unwrap_or(policy.starts_at),
            ends_at: self.ends_at.unwrap_or(policy.ends_at),
            limit_per_buyer: self.limit_per_buyer.unwrap_or(policy.limit_per_buyer),
            hold_s: PaymentMode::resolve_hold_s(self.payment, self.hold_s, policy.hold_s),
            admission: self.admission.unwrap_or(policy.admission),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sale::{Command, SaleState};

    #[test]
    fn a_policy_changes_as_the_law_changes_it() {
        let first = Policy {
            quantity: 10,
            unit_price: Money { minor: 100, currency: "EUR".parse().unwrap() },
            starts_at: Timestamp(1_000),
            ends_at: Timestamp(1_000_000),
            limit_per_buyer: 1,
            hold_s: 0,
            admission: AdmissionMode::Open,
        };
        let second = Policy { quantity: 30, ends_at: Timestamp(2_000_000), ..first.clone() };
        let (mut state, mut entries) = (SaleState::new(), Vec::new());
        for command in [
            Command::Configure { policy: Box::new(first.clone()) },
            Command::Restock { quantity: 5 },
            Command::Pause,
            Command::Resume,
            Command::Configure { policy: Box::new(second.clone()) },
            Command::Restock { quantity: 7 },
        ] {
            state.step(Timestamp(1), &command, &mut entries);
        }
        let mut policy = first;
        for entry in &entries {
            apply_to_policy(&mut policy, &entry.event);
        }
        assert_eq!(policy, Policy { quantity: 37, ..second });
    }
}
