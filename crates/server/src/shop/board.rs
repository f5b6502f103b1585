//! What an admin looks at: how a sale goes, who stands in its line, and who tried to buy. The line is told by the engine; sums and
//! attempts by the tables, which may be a moment behind.

use super::Shop;
use super::catalogue::CatalogueError;
use super::sales::Sale;
use crate::store::{StoreError, accounts, attempts, orders, people, series};
use sale::{BuyerId, LineMember, OrderStatus, SaleId, Seq, Ticket};
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Duration;

pub use crate::store::attempts::{AttemptRow, Filter as AttemptFilter};
pub use crate::store::orders::StatusSum;
pub use crate::store::people::Person;

/// How long an admin's page waits for the tables to catch up with the ledger.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// What "the last minute" is, in milliseconds.
const MINUTE_MS: i64 = 60_000;

/// How a sale goes.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The sale.
    pub sale: Sale,
    /// The sums of its orders by status.
    pub orders: Vec<StatusSum>,
    /// How many orders were made in the last minute.
    pub orders_last_minute: u64,
    /// Refused attempts by code.
    pub refusals: Vec<(String, u64)>,
    /// The last event that the tables show.
    pub projected: Seq,
}

/// Rows with the people they are about.
#[derive(Clone, Debug)]
pub struct WithPeople<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Who the buyers in them are, as far as they have accounts.
    pub people: HashMap<BuyerId, Person>,
}

/// A buyer, by one of their names.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub enum Who {
    /// The account's id.
    Id(BuyerId),
    /// The account's e-mail address.
    Email(String),
}

impl From<String> for Who {
    fn from(text: String) -> Self {
        match text.parse() {
            Ok(id) => Self::Id(id),
            Err(_) => Self::Email(text),
        }
    }
}

/// How a sale goes.
///
/// # Errors
/// When the tables cannot be asked.
pub async fn overview(shop: &Shop, sale: Sale) -> Result<Overview, StoreError> {
    let id = sale.listing.sale;
    shop.projected.wait(id, sale.view.seq, PATIENCE).await;
    let projected = shop.projected.applied(id);
    let since = shop.engine.now().plus_ms(-MINUTE_MS);
    Ok(Overview {
        orders: orders::sums(&shop.store, id).await?,
        orders_last_minute: orders::made_since(&shop.store, id, since).await?,
        refusals: series::refusals(&shop.store, id).await?,
        projected,
        sale,
    })
}

/// From where on the line is told.
#[derive(Clone, Debug)]
pub enum LineStart {
    /// From its head.
    Head,
    /// From the first behind this ticket.
    Behind(Ticket),
    /// From this buyer's own place; nobody is told when they have none.
    At(Who),
}

/// Up to `limit` buyers who wait or are admitted, in ticket order.
///
/// # Errors
/// When the engine or the tables cannot answer.
pub async fn line(
    shop: &Shop,
    sale: SaleId,
    start: LineStart,
    limit: u32,
) -> Result<WithPeople<LineMember>, CatalogueError> {
    let after = match start {
        LineStart::Head => None,
        LineStart::Behind(ticket) => Some(ticket),
        LineStart::At(who) => match place_of(shop, sale, &who).await? {
            Some(ticket) => ticket.0.checked_sub(1).map(Ticket),
            None => return Ok(WithPeople { rows: Vec::new(), people: HashMap::new() }),
        },
    };
    let rows = shop.engine.line(sale, after, limit as usize).await?;
    let people = people_of(shop, rows.iter().map(|member| member.buyer)).await?;
    Ok(WithPeople { rows, people })
}

/// The ticket of a buyer who waits or is admitted.
async fn place_of(shop: &Shop, sale: SaleId, who: &Who) -> Result<Option<Ticket>, CatalogueError> {
    let Some(buyer) = find(shop, who).await? else { return Ok(None) };
    let stands = shop.engine.buyer(sale, buyer).await?;
    Ok(stands.ticket.filter(|_| stands.place.is_some()))
}

/// The number in a sale's line that a receipt proves in this buyer's hands, if it proves one.
///
/// # Errors
/// When the tables cannot be asked who the buyer is.
pub async fn proven(
    shop: &Shop,
    sale: SaleId,
    who: &Who,
    receipt: &str,
) -> Result<Option<Ticket>, StoreError> {
    let buyer = find(shop, who).await?;
    Ok(buyer.and_then(|buyer| shop.receipts.check(sale, buyer, receipt)))
}

pub(super) async fn find(shop: &Shop, who: &Who) -> Result<Option<BuyerId>, StoreError> {
    match who {
        Who::Id(buyer) => Ok(Some(*buyer)),
        Who::Email(email) => {
            Ok(accounts::find_by_email(&shop.store, &email.to_lowercase()).await?.map(|user| user.id))
        }
    }
}

/// Up to `limit` attempts, newest first, and how many refusals of the sale were only counted.
///
/// # Errors
/// When the tables cannot be asked.
pub async fn attempts(
    shop: &Shop,
    sale: SaleId,
    filter: attempts::Filter<'_>,
    limit: u32,
) -> Result<(WithPeople<AttemptRow>, u64), StoreError> {
    let seq = shop.engine.views().get(sale).map_or(Seq(0), |view| view.seq);
    shop.projected.wait(sale, seq, PATIENCE).await;
    let rows = attempts::list(&shop.store, sale, filter, limit).await?;
    let counted = attempts::counted(&shop.store, sale).await?;
    let people = people_of(shop, rows.iter().filter_map(|row| row.buyer)).await?;
    Ok((WithPeople { rows, people }, counted))
}

/// Minor units that buyers paid and did not get back.
#[must_use]
pub fn revenue_minor(orders: &[StatusSum]) -> i64 {
    let paid = orders.iter().filter(|sum| sum.status == OrderStatus::Confirmed.as_str());
    paid.map(|sum| sum.amount_minor).sum()
}

pub(super) async fn people_of(
    shop: &Shop,
    buyers: impl Iterator<Item = BuyerId>,
) -> Result<HashMap<BuyerId, Person>, StoreError> {
    let mut ids: Vec<BuyerId> = buyers.collect();
    ids.sort_unstable();
    ids.dedup();
    people::find(&shop.store, &ids).await
}
