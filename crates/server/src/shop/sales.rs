//! Sales, as the merchant has them: announce, edit, pause, resume, close, restock, delete. The law decides what may be; here
//! its answer and the catalogue's row are brought together, so that a crash between them leaves nothing half-made behind.

use super::catalogue::{Answered, CatalogueError, Listing, Refused};
use super::sharing::Sharing;
use super::words::Slug;
use super::{Shop, ids};
use crate::store::products::{self, ProductId};
use crate::store::sales::{self, NewSale};
use engine::{EngineError, SaleView};
use sale::{Admission, Command, Event, Money, Outcome, Phase, Policy, Refusal, SaleId, Seq, Timestamp};
use std::sync::Arc;

/// What a new sale needs. The policy is one without [`Policy::problems`].
#[derive(Clone, Debug)]
pub struct SaleDraft {
    /// What it sells.
    pub product: ProductId,
    /// Its name in addresses; made from the product's name when absent.
    pub slug: Option<Slug>,
    /// What it promises.
    pub policy: Policy,
}

/// What is to be different about a sale. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct SaleEdit {
    /// What it sells.
    pub product: Option<ProductId>,
    /// Its name in addresses.
    pub slug: Option<Slug>,
    /// The price of one unit.
    pub price: Option<Money>,
    /// Its units.
    pub quantity: Option<u32>,
    /// When it starts.
    pub starts_at: Option<Timestamp>,
    /// When it ends.
    pub ends_at: Option<Timestamp>,
    /// Units of one buyer.
    pub limit_per_buyer: Option<u32>,
    /// Seconds of a hold; 0 sells at once.
    pub hold_s: Option<u32>,
    /// Whether units are to be paid; [`Payment::Nothing`] wins over `hold_s`.
    pub payment: Option<Payment>,
    /// Who may buy.
    pub admission: Option<Admission>,
}

/// Whether a unit is to be paid before it is sold. A sale that sells at once is one that holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payment {
    /// A unit is held for its payment.
    Required,
    /// A unit is sold at once.
    Nothing,
}

/// Seconds that a unit is held when nobody says otherwise.
pub const HOLD_S_DEFAULT: u32 = 300;

impl Payment {
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
    pub fn of(policy: &Policy) -> Self {
        if policy.sells_at_once() { Self::Nothing } else { Self::Required }
    }

    /// Seconds of a hold: what was said, else what was before, else [`HOLD_S_DEFAULT`].
    #[must_use]
    pub fn hold_s(payment: Option<Self>, said: Option<u32>, before: u32) -> u32 {
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
pub struct Sale {
    /// The catalogue's part.
    pub listing: Arc<Listing>,
    /// The engine's part.
    pub view: Arc<SaleView>,
}

/// What became of a sale that was to be deleted.
#[derive(Clone, Debug)]
pub enum Deleted {
    /// It is gone: nobody had anything from it.
    Gone,
    /// Buyers have places or orders in it: it is closed, and stays.
    Closed(Box<Sale>),
}

/// What a merchant may do to a sale without editing it.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// Stop for a while.
    Pause,
    /// Go on.
    Resume,
    /// End it for good.
    Close,
    /// Add units.
    Restock {
        /// How many.
        quantity: u32,
    },
}

/// Names that are tried for a sale without one, before the name gets a piece of the sale's id.
const SLUG_TRIES: u32 = 20;
/// A request that makes a sale has ended long before this, one way or another.
const HALF_MADE_AFTER_S: i64 = 120;
/// Events read at once when looking for a promise.
const LOOK_LEN: usize = 1_024;

/// Makes a sale and announces it. The row is written first, marked as half-made; then the ledger has it; then the mark goes.
///
/// # Errors
/// When the tables or the engine cannot answer. The sale may exist all the same (see [`settle_half_made`]).
pub async fn create(shop: &Shop, draft: SaleDraft) -> Answered<Sale> {
    let _alone = shop.catalogue.edit(&shop.store).await?;
    let now = (shop.now)();
    settle(shop, given_up_before(now)).await?;
    let Some(product) = products::find(&shop.store, draft.product).await? else {
        return Ok(Err(Refused::NoSuchProduct));
    };
    if product.price.currency != draft.policy.unit_price.currency {
        return Ok(Err(Refused::CurrencyDiffers));
    }
    let id = SaleId(ids::new(now));
    let slug = draft.slug.as_ref().map_or("", Slug::as_str);
    let new = NewSale { id, product: product.id, slug, created_at: now };
    let is_inserted = match draft.slug {
        Some(_) => sales::insert(&shop.store, new).await?,
        None => insert_unnamed(shop, &product.name, new).await?,
    };
    if !is_inserted {
        return Ok(Err(Refused::SlugTaken));
    }
    let configure = Command::Configure { policy: Box::new(draft.policy) };
    match shop.engine.command(id, configure).await {
        Ok(answer) => {
            if let Outcome::Refused(refusal) = answer.outcome {
                sales::remove_half_made(&shop.store, id).await?;
                return Ok(Err(Refused::Law(refusal)));
            }
        }
        // Nothing was done: the row can go at once.
        Err(error @ (EngineError::Overloaded | EngineError::NoSuchSale)) => {
            sales::remove_half_made(&shop.store, id).await?;
            return Err(error.into());
        }
        // It may be in the ledger or not: the row stays half-made until that is known.
        Err(error @ (EngineError::NotRecorded | EngineError::Unreadable | EngineError::Stopped)) => {
            return Err(error.into());
        }
    }
    sales::set_announced(&shop.store, id, now).await?;
    shop.catalogue.refresh(&shop.store).await?;
    Ok(seek(shop, id).await.ok_or(Refused::SaleUnknown))
}

/// Edits a sale: the law decides first, then the catalogue follows.
///
/// # Errors
/// When the tables or the engine cannot answer; editing again is safe.
pub async fn edit(shop: &Shop, id: SaleId, edit: SaleEdit) -> Answered<Sale> {
    let _alone = shop.catalogue.edit(&shop.store).await?;
    let Some(Sale { listing, view }) = seek(shop, id).await else { return Ok(Err(Refused::SaleUnknown)) };
    let product = match edit.product {
        Some(product) if product != listing.product.id => match products::find(&shop.store, product).await? {
            None => return Ok(Err(Refused::NoSuchProduct)),
            Some(_) if has_promised(&view, shop.engine.now()) => {
                return Ok(Err(Refused::Law(Refusal::PromiseMade)));
            }
            Some(product) => Arc::new(product),
        },
        _ => Arc::clone(&listing.product),
    };
    let policy = edit.applied_to(&promised(shop, &view).await?);
    if policy.unit_price.currency != product.price.currency {
        return Ok(Err(Refused::CurrencyDiffers));
    }
    let problems = policy.problems();
    if !problems.is_empty() {
        return Ok(Err(Refused::BadPolicy(problems)));
    }
    let slug = edit.slug.as_ref().map_or(listing.slug.as_str(), Slug::as_str);
    if slug != listing.slug && !sales::is_slug_free(&shop.store, slug).await? {
        return Ok(Err(Refused::SlugTaken));
    }
    if let Err(refusal) = command(shop, id, Command::Configure { policy: Box::new(policy) }).await? {
        return Ok(Err(Refused::Law(refusal)));
    }
    if slug != listing.slug || product.id != listing.product.id {
        sales::update(&shop.store, id, slug, product.id).await?;
        shop.catalogue.refresh(&shop.store).await?;
    }
    Ok(seek(shop, id).await.ok_or(Refused::SaleUnknown))
}

/// Pauses, resumes, closes or restocks a sale.
///
/// # Errors
/// When the engine cannot answer.
pub async fn act(shop: &Shop, id: SaleId, action: Action) -> Answered<Sale> {
    // A restock and an edit of the quantity must not overlook each other.
    let _alone = shop.catalogue.edit(&shop.store).await?;
    if shop.catalogue.listing(id).is_none() {
        return Ok(Err(Refused::SaleUnknown));
    }
    let command_of = match action {
        Action::Pause => Command::Pause,
        Action::Resume => Command::Resume,
        Action::Close => Command::Close,
        Action::Restock { quantity } => Command::Restock { quantity },
    };
    if let Err(refusal) = command(shop, id, command_of).await? {
        return Ok(Err(Refused::Law(refusal)));
    }
    Ok(seek(shop, id).await.ok_or(Refused::SaleUnknown))
}

/// Deletes a sale that nobody has ever had a place or an order in; closes any other. It is closed either way before anyone
/// looks, so nobody can come in between.
///
/// # Errors
/// When the tables, the engine or the ledger cannot answer; deleting again is safe.
pub async fn delete(shop: &Shop, id: SaleId) -> Answered<Deleted> {
    let _alone = shop.catalogue.edit(&shop.store).await?;
    if shop.catalogue.listing(id).is_none() {
        return Ok(Err(Refused::SaleUnknown));
    }
    if let Err(refusal) = command(shop, id, Command::Close).await? {
        return Ok(Err(Refused::Law(refusal)));
    }
    if had_buyers(shop, id).await? {
        let closed = seek(shop, id).await.map(|sale| Deleted::Closed(Box::new(sale)));
        return Ok(closed.ok_or(Refused::SaleUnknown));
    }
    sales::delete(&shop.store, id, (shop.now)()).await?;
    shop.catalogue.refresh(&shop.store).await?;
    Ok(Ok(Deleted::Gone))
}

/// A sale that is announced and not deleted, as it is known here.
#[must_use]
pub fn find(shop: &Shop, id: SaleId) -> Option<Sale> {
    let listing = shop.catalogue.listing(id)?;
    let view = shop.engine.views().get(id)?;
    Some(Sale { listing, view })
}

/// The sale that an address names by its id or its slug, as it is known here.
#[must_use]
pub fn find_named(shop: &Shop, id_or_slug: &str) -> Option<Sale> {
    let listing = shop.catalogue.find(id_or_slug)?;
    let view = shop.engine.views().get(listing.sale)?;
    Some(Sale { listing, view })
}

/// [`find`], also when another process has made the sale a moment ago.
pub async fn seek(shop: &Shop, id: SaleId) -> Option<Sale> {
    if let Some(sale) = find(shop, id) {
        return Some(sale);
    }
    if shop.catalogue.listing(id).is_none() {
        shop.catalogue.refresh_for_miss(&shop.store).await;
    }
    meet(shop, shop.catalogue.listing(id)?).await
}

/// [`find_named`], also when another process has made the sale a moment ago.
pub async fn seek_named(shop: &Shop, id_or_slug: &str) -> Option<Sale> {
    if let Some(sale) = find_named(shop, id_or_slug) {
        return Some(sale);
    }
    if shop.catalogue.find(id_or_slug).is_none() {
        shop.catalogue.refresh_for_miss(&shop.store).await;
    }
    meet(shop, shop.catalogue.find(id_or_slug)?).await
}

/// Whether there is such a sale, also when another process has made it a moment ago. Cheap where it is known here.
pub async fn is_there(shop: &Shop, id: SaleId) -> bool {
    if shop.catalogue.has(id) && shop.engine.views().get(id).is_some() {
        return true;
    }
    seek(shop, id).await.is_some()
}

/// A listed sale with what the engine says of it. Where another process has just announced the sale, the engine of this one may
/// not have seen it yet: then it is asked to look.
async fn meet(shop: &Shop, listing: Arc<Listing>) -> Option<Sale> {
    let view = match shop.engine.views().get(listing.sale) {
        Some(view) => view,
        None if shop.sharing.is_shared() => shop.engine.sale(listing.sale).await.ok()?,
        None => return None,
    };
    Some(Sale { listing, view })
}

/// Up to `limit` sales, newest first, from the first behind `after` on; in one phase only, if one is given.
#[must_use]
pub fn list(
    shop: &Shop,
    phase: Option<Phase>,
    after: Option<(Timestamp, SaleId)>,
    limit: usize,
) -> Vec<Sale> {
    let now = shop.engine.now();
    let is_behind = |listing: &Listing| after.is_none_or(|after| (listing.created_at, listing.sale) < after);
    let listings = shop.catalogue.all().into_iter().filter(|listing| is_behind(listing));
    let sales = listings.filter_map(|listing| {
        let view = shop.engine.views().get(listing.sale)?;
        Some(Sale { listing, view })
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
    let _alone = shop.catalogue.edit(&shop.store).await?;
    let before = match shop.sharing {
        Sharing::Alone => Timestamp::MAX,
        Sharing::Shared => given_up_before((shop.now)()),
    };
    settle(shop, before).await
}

/// Rows that were made before this are nobody's work any more.
fn given_up_before(now: Timestamp) -> Timestamp {
    now.plus_ms(-HALF_MADE_AFTER_S * 1000)
}

async fn settle(shop: &Shop, before: Timestamp) -> Result<(), CatalogueError> {
    if !shop.engine.is_recording() {
        // What is published may lack what is recorded.
        return Ok(());
    }
    let half_made = sales::half_made(&shop.store, before).await?;
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
    Ok(shop.sharing.is_shared() && !shop.engine.ledger().read(id, Seq(0), 1).await?.is_empty())
}

/// What a sale promises now. Where other processes edit too, what is published here may be a moment old, and an edit that is
/// made from it would take theirs back.
async fn promised(shop: &Shop, view: &SaleView) -> Result<Policy, CatalogueError> {
    let mut policy = Policy::clone(&view.policy);
    if !shop.sharing.is_shared() {
        return Ok(policy);
    }
    let mut after = view.seq;
    loop {
        let entries = shop.engine.ledger().read(view.id, after, LOOK_LEN).await?;
        let Some(last) = entries.last() else { return Ok(policy) };
        after = last.seq;
        for entry in &entries {
            change_promise(&mut policy, &entry.event);
        }
    }
}

/// What an event changes about what a sale promises; the law's own reading is `State::apply`.
fn change_promise(policy: &mut Policy, event: &Event) {
    match event {
        Event::Configured { policy: new } => *policy = Policy::clone(new),
        Event::Restocked { quantity } => policy.quantity = policy.quantity.saturating_add(*quantity),
        _ => {}
    }
}

/// Inserts a sale under the first free name that can be made of its product's.
async fn insert_unnamed(shop: &Shop, name: &str, new: NewSale<'_>) -> Result<bool, CatalogueError> {
    // The last 32 bits of a UUIDv7 are random.
    let random = new.id.0.as_bytes()[12..].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    for n in (1..=SLUG_TRIES).chain([random.max(SLUG_TRIES)]) {
        let slug = Slug::of_name(name, n);
        if sales::insert(&shop.store, NewSale { slug: slug.as_str(), ..new }).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn command(shop: &Shop, id: SaleId, command: Command) -> Result<Result<(), Refusal>, CatalogueError> {
    match shop.engine.command(id, command).await?.outcome {
        Outcome::Refused(refusal) => Ok(Err(refusal)),
        Outcome::Done
        | Outcome::Joined { .. }
        | Outcome::Left { .. }
        | Outcome::Extended { .. }
        | Outcome::Order { .. } => Ok(Ok(())),
    }
}

/// Whether a buyer may have acted on what the sale says of itself.
fn has_promised(view: &SaleView, now: Timestamp) -> bool {
    let opens_at = view.policy.line_opens_at().unwrap_or(view.policy.starts_at);
    let counters = view.counters;
    now >= opens_at || counters.waiting + counters.admitted + counters.held + counters.sold > 0
}

/// Whether anyone ever had a place or an order in the sale.
async fn had_buyers(shop: &Shop, id: SaleId) -> Result<bool, CatalogueError> {
    let mut after = Seq(0);
    loop {
        let entries = shop.engine.ledger().read(id, after, LOOK_LEN).await?;
        let Some(last) = entries.last() else { return Ok(false) };
        after = last.seq;
        if entries.iter().any(|entry| is_about_a_buyer(&entry.event)) {
            return Ok(true);
        }
    }
}

fn is_about_a_buyer(event: &Event) -> bool {
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
    fn applied_to(&self, policy: &Policy) -> Policy {
        Policy {
            quantity: self.quantity.unwrap_or(policy.quantity),
            unit_price: self.price.unwrap_or(policy.unit_price),
            starts_at: self.starts_at.unwrap_or(policy.starts_at),
            ends_at: self.ends_at.unwrap_or(policy.ends_at),
            limit_per_buyer: self.limit_per_buyer.unwrap_or(policy.limit_per_buyer),
            hold_s: Payment::hold_s(self.payment, self.hold_s, policy.hold_s),
            admission: self.admission.unwrap_or(policy.admission),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sale::State;

    #[test]
    fn a_promise_changes_as_the_law_changes_it() {
        let first = Policy {
            quantity: 10,
            unit_price: Money { minor: 100, currency: "EUR".parse().unwrap() },
            starts_at: Timestamp(1_000),
            ends_at: Timestamp(1_000_000),
            limit_per_buyer: 1,
            hold_s: 0,
            admission: Admission::Open,
        };
        let second = Policy { quantity: 30, ends_at: Timestamp(2_000_000), ..first.clone() };
        let (mut state, mut entries) = (State::new(), Vec::new());
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
            change_promise(&mut policy, &entry.event);
        }
        assert_eq!(policy, Policy { quantity: 37, ..second });
    }
}
