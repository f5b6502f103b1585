//! Edits a sale: the law decides first, then the catalogue follows.

use super::{ListedSale, PaymentMode, READ_BATCH_LEN, find_or_refresh, has_opened};
use crate::shop::Shop;
use crate::shop::catalogue::{CatalogueError, CatalogueRefusal, CatalogueResult, SaleListing};
use crate::shop::catalogue_text::{Category, Description, ImageUrl, ProductName, Slug};
use crate::store::products::{self, ProductId};
use crate::store::sale_products::SoldProduct;
use crate::store::sale_slugs;
use crate::store::sales::{self, SaleRowEdit};
use engine::SaleView;
use sale::{AdmissionMode, BuyerId, Event, Money, Policy, Refusal, SaleId, SalePhase, Timestamp};

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
    /// What it shows of its product.
    pub shown: ShownEdit,
    /// The admin who edits.
    pub edited_by: Option<BuyerId>,
}

/// What a sale shows of its product, as far as it changes. `Some(None)` empties a field. The product stays as it is, and so does
/// what earlier orders are of.
#[derive(Clone, Debug, Default)]
pub struct ShownEdit {
    pub name: Option<ProductName>,
    pub description: Option<Description>,
    pub category: Option<Option<Category>>,
    pub image_url: Option<Option<ImageUrl>>,
    pub list_price: Option<Money>,
}

/// Versions of what a sale shows. All of them are in memory.
const SHOWN_VERSIONS_MAX: u32 = 100;

/// Edits a sale: the law decides first, then the catalogue follows.
///
/// # Errors
/// When the tables or the engine do not answer; editing again is safe.
pub async fn edit(shop: &Shop, id: SaleId, edit: SaleEdit) -> CatalogueResult<ListedSale> {
    let _lock = shop.catalogue.lock_for_edit(&shop.store).await?;
    Ok(edit_locked(shop, id, edit).await?.map(|edited| edited.sale))
}

/// Edits a sale, and closes it afterwards if that is wanted. Returns whether anything was changed: of several equal calls at once, one has
/// changed it.
///
/// # Errors
/// When the tables or the engine do not answer; the same call again is safe.
pub async fn edit_and_close(
    shop: &Shop,
    id: SaleId,
    edit: Option<SaleEdit>,
    closes: bool,
) -> CatalogueResult<bool> {
    let _lock = shop.catalogue.lock_for_edit(&shop.store).await?;
    let mut is_changed = false;
    if let Some(edit) = edit {
        match edit_locked(shop, id, edit).await? {
            Ok(edited) => is_changed = edited.is_changed,
            Err(refusal) => return Ok(Err(refusal)),
        }
    }
    if closes && shop.engine.sale(id).await?.phase(shop.engine.now()) != SalePhase::Closed {
        if let Err(refusal) = shop.engine.close(id).await? {
            return Ok(Err(CatalogueRefusal::Law(refusal)));
        }
        is_changed = true;
    }
    Ok(Ok(is_changed))
}

/// A sale after an edit.
struct EditedSale {
    sale: ListedSale,
    is_changed: bool,
}

/// Edits a sale while the caller has the right to edit.
async fn edit_locked(shop: &Shop, id: SaleId, edit: SaleEdit) -> CatalogueResult<EditedSale> {
    let Some(ListedSale { listing, view }) = find_or_refresh(shop, id).await else {
        return Ok(Err(CatalogueRefusal::SaleUnknown));
    };
    let is_open = has_opened(&view, shop.engine.now());
    let shown = match edit.choose_shown(shop, &listing, is_open).await? {
        Ok(shown) => shown,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let before = read_policy(shop, &view).await?;
    let policy = edit.apply_to(&before);
    // Whether a unit is paid for is promised with the announcement. Without a hold it would be sold unpaid.
    let payment = PaymentMode::from_listing(&listing, &before);
    if edit.payment.is_some_and(|given| given != payment) || PaymentMode::from_policy(&policy) != payment {
        return Ok(Err(CatalogueRefusal::Law(Refusal::PromiseMade)));
    }
    if policy.unit_price.currency != shown.list_price.currency {
        return Ok(Err(CatalogueRefusal::CurrencyDiffers));
    }
    let problems = policy.problems();
    if !problems.is_empty() {
        return Ok(Err(CatalogueRefusal::BadPolicy(problems)));
    }
    if (policy.unit_price, policy.limit_per_buyer) != (before.unit_price, before.limit_per_buyer)
        && let Err(refusal) = shop.payments.check_price(&listing.provider, &policy)
    {
        return Ok(Err(refusal));
    }
    if policy.ends_at != before.ends_at && policy.ends_at <= shop.engine.now() {
        return Ok(Err(CatalogueRefusal::EndIsPast));
    }
    let slug = edit.slug.as_ref().map_or(listing.slug.as_str(), Slug::as_str);
    if slug != listing.slug && !sale_slugs::is_free_for(&shop.store, slug, id).await? {
        return Ok(Err(CatalogueRefusal::SlugTaken));
    }
    let is_policy_changed = policy != before;
    if let Err(refusal) = shop.engine.configure(id, policy).await? {
        return Ok(Err(CatalogueRefusal::Law(refusal)));
    }
    let shown = Some(&shown).filter(|shown| **shown != *listing.product);
    let is_row_changed = slug != listing.slug || shown.is_some();
    if is_row_changed {
        let row = SaleRowEdit { slug, shown, edited_by: edit.edited_by, now: shop.engine.now() };
        sales::update(&shop.store, id, row).await?;
        shop.catalogue.refresh(&shop.store).await?;
    }
    let edited = find_or_refresh(shop, id).await;
    let edited = edited.map(|sale| EditedSale { sale, is_changed: is_policy_changed || is_row_changed });
    Ok(edited.ok_or(CatalogueRefusal::SaleUnknown))
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

impl SaleEdit {
    /// What the sale shows of its product after this edit; equal to what it shows now when nothing of it changes. Where buyers may rely
    /// on the sale, the list price stays, and a change is another version.
    async fn choose_shown(
        &self,
        shop: &Shop,
        listing: &SaleListing,
        is_open: bool,
    ) -> CatalogueResult<SoldProduct> {
        let current = listing.product.as_ref();
        let mut shown = current.clone();
        if let Some(id) = self.product.filter(|id| *id != current.id) {
            let Some(product) = products::find(&shop.store, id).await? else {
                return Ok(Err(CatalogueRefusal::NoSuchProduct));
            };
            if is_open {
                return Ok(Err(CatalogueRefusal::Law(Refusal::PromiseMade)));
            }
            shown = shown.with_product(product);
        }
        let shown = self.shown.apply_to(shown);
        if shown == *current || !is_open {
            return Ok(Ok(shown));
        }
        if shown.list_price != current.list_price {
            return Ok(Err(CatalogueRefusal::Law(Refusal::PromiseMade)));
        }
        if current.version >= SHOWN_VERSIONS_MAX {
            return Ok(Err(CatalogueRefusal::TooManyEdits));
        }
        Ok(Ok(SoldProduct { version: current.version + 1, shown_from: shop.engine.now(), ..shown }))
    }

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

impl ShownEdit {
    fn apply_to(&self, shown: SoldProduct) -> SoldProduct {
        SoldProduct {
            name: self.name.as_ref().map_or(shown.name, |name| name.as_str().to_owned()),
            description: self.description.as_ref().map_or(shown.description, |text| text.as_str().to_owned()),
            category: match &self.category {
                Some(category) => category.as_ref().map(|category| category.as_str().to_owned()),
                None => shown.category,
            },
            image_url: match &self.image_url {
                Some(url) => url.as_ref().map(|url| url.as_str().to_owned()),
                None => shown.image_url,
            },
            list_price: self.list_price.unwrap_or(shown.list_price),
            id: shown.id,
            version: shown.version,
            shown_from: shown.shown_from,
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
