//! Sales, as the merchant has them: announce, edit, pause, resume, close, restock, delete. The law decides what may be; here
//! its answer and the catalogue's row are brought together, so that a crash between them leaves nothing half-made behind.

use super::catalogue::{CatalogueError, CatalogueRefusal, CatalogueResult, SaleListing};
use super::catalogue_text::Slug;
use super::tenancy::Tenancy;
use super::{Shop, ids};
use crate::store::products::{self, ProductId};
use crate::store::sales::{self, NewSale};
use engine::{EngineError, SaleView};
use sale::{AdmissionMode, Event, EventSeq, Money, Policy, Refusal, SaleId, SalePhase, Timestamp};
use std::sync::Arc;

/// What a new sale needs. The policy is one without [`Policy::problems`].
#[derive(Clone, Debug)]
pub struct SaleDraft {
    pub product: ProductId,
    /// Its name in addresses; made from the product's name when absent.
    pub slug: Option<Slug>,
    pub policy: Policy,
}

/// What is to be different about a sale. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct SaleEdit {
    pub product: Option<ProductId>,
    /// Its name in addresses.
    pub slug: Option<Slug>,
    /// The price of one unit.
    pub price: Option<Money>,
    /// Its units.
    pub quantity: Option<u32>,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    /// Units of one buyer.
    pub limit_per_buyer: Option<u32>,
    /// Seconds of a hold; 0 sells at once.
    pub hold_s: Option<u32>,
    /// Whether units are to be paid; [`Payment::Nothing`] wins over `hold_s`.
    pub payment: Option<PaymentMode>,
    pub admission: Option<AdmissionMode>,
}

/// Whether a unit is to be paid before it is sold. A sale that sells at once is one that holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentMode {
    /// A unit is held for its payment.
    Required,
    /// A unit is sold at once.
    Nothing,
}

/// Seconds that a unit is held when nobody says otherwise.
pub const HOLD_S_DEFAULT: u32 = 300;

impl PaymentMode {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Nothing => "none",
        }
    }

    /// What a policy says of it.
    #[must_use]
    pub fn from_policy(policy: &Policy) -> Self {
        if policy.sells_at_once() { Self::Nothing } else { Self::Required }
    }

    /// Seconds of a hold: what was said, else what was before, else [`HOLD_S_DEFAULT`].
    #[must_use]
    pub fn resolve_hold_s(payment: Option<Self>, said: Option<u32>, before: u32) -> u32 {
        match (payment, said) {
            (Some(Self::Nothing), _) => 0,
            (_, Some(said)) => said,
            (Some(Self::Required), None) if before == 0 => HOLD_S_DEFAULT,
            (_, None) => before,
        }
    }
}

/// A sale: its listing, and how it stands.
#[derive(Clone, Debug)]
pub struct ListedSale {
    pub listing: Arc<SaleListing>,
    pub view: Arc<SaleView>,
}

/// What became of a sale that was to be deleted.
#[derive(Clone, Debug)]
pub enum DeleteResult {
    /// It is gone: nobody had anything from it.
    Gone,
    /// Buyers have places or orders in it: it is closed, and stays.
    Closed(Box<ListedSale>),
}

/// What a merchant may do to a sale without editing it.
#[derive(Clone, Copy, Debug)]
pub enum SaleAction {
    /// Stop for a while.
    Pause,
    Resume,
    /// End it for good.
    Close,
    /// Add units.
    Restock {
        quantity: u32,
    },
}

/// Names that are tried for a sale without one, before the name gets a piece of the sale's id.
const SLUG_TRIES: u32 = 20;
/// A request that makes a sale has ended long before this, one way or another.
const HALF_MADE_AFTER_S: i64 = 120;
/// Events read at once when looking for a promise.
const READ_BATCH_LEN: usize = 1_024;

/// Makes a sale and announces it. The row is written first, marked as half-made; then the ledger has it; then the mark goes.
///
/// # Errors
/// When the tables or the engine cannot answer. The sale may exist all the same (see [`settle_half_made`]).
pub async fn create(shop: &Shop, draft: SaleDraft) -> CatalogueResult<ListedSale> {
    let _alone = shop.catalogue.lock_for_edit(&shop.store).await?;
    let now = (shop.now)();
    settle_rows(shop, abandoned_before(now)).await?;
    let Some(product) = products::find(&shop.store, draft.product).await? else {
        return Ok(Err(CatalogueRefusal::NoSuchProduct));
    };
    if product.price.currency != draft.policy.unit_price.currency {
        return Ok(Err(CatalogueRefusal::CurrencyDiffers));
    }
    let id = SaleId(ids::new(now));
    let slug = draft.slug.as_ref().map_or("", Slug::as_str);
    let new = NewSale { id, product: product.id, slug, created_at: now };
    let is_inserted = match draft.slug {
        Some(_) => sales::insert(&shop.store, new).await?,
        None => insert_with_free_slug(shop, &product.name, new).await?,
    };
    if !is_inserted {
        return Ok(Err(CatalogueRefusal::SlugTaken));
    }
    match shop.engine.configure(id, draft.policy).await {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => {
            sales::remove_half_made(&shop.store, id).await?;
            return Ok(Err(CatalogueRefusal::Law(refusal)));
        }
        // Nothing was done: the row can go at once.
        Err(error @ (EngineError::Overloaded | EngineError::NoSuchSale)) => {
            sales::remove_half_made(&shop.store, id).await?;
            return Err(error.into());
        }
        // It may be in the ledger or not: the row stays half-made until that is known.
        Err(
            error @ (EngineError::NotRecorded
            | EngineError::StateUnknown
            | EngineError::Stopped
            | EngineError::UnexpectedReply { .. }),
        ) => return Err(error.into()),
    }
    sales::set_announced(&shop.store, id, now).await?;
    shop.catalogue.refresh(&shop.store).await?;
    Ok(find_or_refresh(shop, id).await.ok_or(CatalogueRefusal::SaleUnknown))
}

/// Edits a sale: the law decides first, then the catalogue follows.
///
/// # Errors
/// When the tables or the engine cannot answer; editing again is safe.
pub async fn edit(shop: &Shop, id: SaleId, edit: SaleEdit) -> CatalogueResult<ListedSale> {
    let _alone = shop.catalogue.lock_for_edit(&shop.store).await?;
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
    let policy = edit.apply_to(&read_policy(shop, &view).await?);
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

/// Pauses, resumes, closes or restocks a sale.
///
/// # Errors
/// When the engine cannot answer.
pub async fn apply_action(shop: &Shop, id: SaleId, action: SaleAction) -> CatalogueResult<ListedSale> {
    // A restock and an edit of the quantity must not overlook each other.
    let _alone = shop.catalogue.lock_for_edit(&shop.store).await?;
    if shop.catalogue.listing(id).is_none() {
        return Ok(Err(CatalogueRefusal::SaleUnknown));
    }
    let decided = match action {
        SaleAction::Pause => shop.engine.pause(id).await?,
        SaleAction::Resume => shop.engine.resume(id).await?,
        SaleAction::Close => shop.engine.close(id).await?,
        SaleAction::Restock { quantity } => shop.engine.restock(id, quantity).await?,
    };
    if let Err(refusal) = decided {
        return Ok(Err(CatalogueRefusal::Law(refusal)));
    }
    Ok(find_or_refresh(shop, id).await.ok_or(CatalogueRefusal::SaleUnknown))
}

/// Deletes a sale that nobody has ever had a place or an order in; closes any other. It is closed either way before anyone
/// looks, so nobody can come in between.
///
/// # Errors
/// When the tables, the engine or the ledger cannot answer; deleting again is safe.
pub async fn delete(shop: &Shop, id: SaleId) -> CatalogueResult<DeleteResult> {
    let _alone = shop.catalogue.lock_for_edit(&shop.store).await?;
    if shop.catalogue.listing(id).is_none() {
        return Ok(Err(CatalogueRefusal::SaleUnknown));
    }
    if let Err(refusal) = shop.engine.close(id).await? {
        return Ok(Err(CatalogueRefusal::Law(refusal)));
    }
    if had_buyers(shop, id).await? {
        let closed = find_or_refresh(shop, id).await.map(|sale| DeleteResult::Closed(Box::new(sale)));
        return Ok(closed.ok_or(CatalogueRefusal::SaleUnknown));
    }
    sales::delete(&shop.store, id, (shop.now)()).await?;
    shop.catalogue.refresh(&shop.store).await?;
    Ok(Ok(DeleteResult::Gone))
}

/// A sale that is announced and not deleted, as it is known here.
#[must_use]
pub fn find(shop: &Shop, id: SaleId) -> Option<ListedSale> {
    let listing = shop.catalogue.listing(id)?;
    let view = shop.engine.views().get(id)?;
    Some(ListedSale { listing, view })
}

/// The sale that an address names by its id or its slug, as it is known here.
#[must_use]
pub fn find_named(shop: &Shop, id_or_slug: &str) -> Option<ListedSale> {
    let listing = shop.catalogue.find(id_or_slug)?;
    let view = shop.engine.views().get(listing.sale)?;
    Some(ListedSale { listing, view })
}

/// [`find`], also when another process has made the sale a moment ago.
pub async fn find_or_refresh(shop: &Shop, id: SaleId) -> Option<ListedSale> {
    if let Some(sale) = find(shop, id) {
        return Some(sale);
    }
    if shop.catalogue.listing(id).is_none() {
        shop.catalogue.refresh_for_miss(&shop.store).await;
    }
    load_view(shop, shop.catalogue.listing(id)?).await
}

/// [`find_named`], also when another process has made the sale a moment ago.
pub async fn find_named_or_refresh(shop: &Shop, id_or_slug: &str) -> Option<ListedSale> {
    if let Some(sale) = find_named(shop, id_or_slug) {
        return Some(sale);
    }
    if shop.catalogue.find(id_or_slug).is_none() {
        shop.catalogue.refresh_for_miss(&shop.store).await;
    }
    load_view(shop, shop.catalogue.find(id_or_slug)?).await
}

/// Whether there is such a sale, also when another process has made it a moment ago. Cheap where it is known here.
pub async fn exists(shop: &Shop, id: SaleId) -> bool {
    if shop.catalogue.contains(id) && shop.engine.views().get(id).is_some() {
        return true;
    }
    find_or_refresh(shop, id).await.is_some()
}

/// A listed sale with what the engine says of it. Where another process has just announced the sale, the engine of this one may
/// not have seen it yet: then it is asked to look.
async fn load_view(shop: &Shop, listing: Arc<SaleListing>) -> Option<ListedSale> {
    let view = match shop.engine.views().get(listing.sale) {
        Some(view) => view,
        None if shop.tenancy.is_cluster() => shop.engine.sale(listing.sale).await.ok()?,
        None => return None,
    };
    Some(ListedSale { listing, view })
}

/// Up to `limit` sales, newest first, from the first behind `after` on; in one phase only, if one is given.
#[must_use]
pub fn list(
    shop: &Shop,
    phase: Option<SalePhase>,
    after: Option<(Timestamp, SaleId)>,
    limit: usize,
) -> Vec<ListedSale> {
    let now = shop.engine.now();
    let is_behind =
        |listing: &SaleListing| after.is_none_or(|after| (listing.created_at, listing.sale) < after);
    let listings = shop.catalogue.all().into_iter().filter(|listing| is_behind(listing));
    let sales = listings.filter_map(|listing| {
        let view = shop.engine.views().get(listing.sale)?;
        Some(ListedSale { listing, view })
    });
    sales.filter(|sale| phase.is_none_or(|phase| sale.view.phase(now) == phase)).take(limit).collect()
}

/// Finishes what a crash, or an engine that could not answer, left between a sale's row and its announcement: a sale that is
/// in the ledger gets its mark, the row of one that is not is removed (its maker was never told yes). Whoever is alone means
/// every such row at its start, because nobody is making a sale then. Where another process may be announcing one at this very
/// moment, only those are meant that are so old that their maker has given up, or died.
///
/// # Errors
/// When the tables or the ledger cannot be asked.
pub async fn settle_half_made(shop: &Shop) -> Result<(), CatalogueError> {
    let _alone = shop.catalogue.lock_for_edit(&shop.store).await?;
    let before = match shop.tenancy {
        Tenancy::Single => Timestamp::MAX,
        Tenancy::Cluster => abandoned_before((shop.now)()),
    };
    settle_rows(shop, before).await
}

/// Rows that were made before this are nobody's work any more.
fn abandoned_before(now: Timestamp) -> Timestamp {
    now.plus_ms(-HALF_MADE_AFTER_S * 1000)
}

async fn settle_rows(shop: &Shop, before: Timestamp) -> Result<(), CatalogueError> {
    if !shop.engine.is_recording() {
        // What is published may lack what is recorded.
        return Ok(());
    }
    let half_made = sales::list_half_made(&shop.store, before).await?;
    if half_made.is_empty() {
        return Ok(());
    }
    for id in half_made {
        if is_in_ledger(shop, id).await? {
            sales::set_announced(&shop.store, id, (shop.now)()).await?;
            tracing::info!(sale = %id, "a sale that was announced before an interruption is finished");
        } else {
            sales::remove_half_made(&shop.store, id).await?;
            tracing::info!(sale = %id, "a sale that was never announced is removed");
        }
    }
    Ok(shop.catalogue.refresh(&shop.store).await?)
}

/// Whether a sale was announced. Where others announce too, what is published here may lack it.
async fn is_in_ledger(shop: &Shop, id: SaleId) -> Result<bool, CatalogueError> {
    if shop.engine.views().get(id).is_some() {
        return Ok(true);
    }
    Ok(shop.tenancy.is_cluster() && !shop.engine.ledger().read_entries(id, EventSeq(0), 1).await?.is_empty())
}

/// What a sale promises now. Where other processes edit too, what is published here may be a moment old, and an edit that is
/// made from it would take theirs back.
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

/// What an event changes about what a sale promises; the law's own reading is `State::apply`.
fn apply_to_policy(policy: &mut Policy, event: &Event) {
    match event {
        Event::Configured { policy: new } => *policy = Policy::clone(new),
        Event::Restocked { quantity } => policy.quantity = policy.quantity.saturating_add(*quantity),
        _ => {}
    }
}

/// Inserts a sale under the first free name that can be made of its product's.
async fn insert_with_free_slug(shop: &Shop, name: &str, new: NewSale<'_>) -> Result<bool, CatalogueError> {
    // The last 32 bits of a UUIDv7 are random.
    let random = new.id.0.as_bytes()[12..].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    for n in (1..=SLUG_TRIES).chain([random.max(SLUG_TRIES)]) {
        let slug = Slug::from_name(name, n);
        if sales::insert(&shop.store, NewSale { slug: slug.as_str(), ..new }).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a buyer may have acted on what the sale says of itself.
fn has_opened(view: &SaleView, now: Timestamp) -> bool {
    let opens_at = view.policy.line_opens_at().unwrap_or(view.policy.starts_at);
    let counters = view.counters;
    now >= opens_at || counters.waiting + counters.admitted + counters.held + counters.sold > 0
}

/// Whether anyone ever had a place or an order in the sale.
async fn had_buyers(shop: &Shop, id: SaleId) -> Result<bool, CatalogueError> {
    let mut after = EventSeq(0);
    loop {
        let entries = shop.engine.ledger().read_entries(id, after, READ_BATCH_LEN).await?;
        let Some(last) = entries.last() else { return Ok(false) };
        after = last.seq;
        if entries.iter().any(|entry| concerns_buyer(&entry.event)) {
            return Ok(true);
        }
    }
}

fn concerns_buyer(event: &Event) -> bool {
    match event {
        Event::Configured { .. }
        | Event::Paused
        | Event::Resumed
        | Event::Closed
        | Event::Restocked { .. } => false,
        Event::Joined { .. }
        | Event::Left { .. }
        | Event::Admitted { .. }
        | Event::Lapsed { .. }
        | Event::Held { .. }
        | Event::Confirmed { .. }
        | Event::Released { .. }
        | Event::Refunded { .. }
        | Event::Extended { .. } => true,
    }
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
    fn a_promise_changes_as_the_law_changes_it() {
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
