//! What an admin looks at: how a sale goes, who stands in its line, who bought and tried to, and what was recorded. The line and
//! the events are told by the engine; orders and attempts by the tables, which may be a moment behind.

use super::Shop;
use super::catalogue::CatalogueError;
use super::sales::Sale;
use crate::store::orders::Filter;
use crate::store::{StoreError, accounts, attempts, orders, people, series};
use sale::{BuyerId, Entry, LineMember, OrderId, OrderStatus, SaleId, Seq, Ticket, Timestamp};
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

pub use crate::store::attempts::AttemptRow;
pub use crate::store::orders::{OrderRow, StatusSum};
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

/// Which orders an admin asks for.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// Of one sale.
    pub sale: Option<SaleId>,
    /// Of one buyer.
    pub buyer: Option<Who>,
    /// In one status, a word of [`OrderStatus::as_str`].
    pub status: Option<&'static str>,
    /// Behind this order in the listing.
    pub after: Option<(Timestamp, OrderId)>,
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

/// Every status an order can have.
pub const STATUSES: [&str; 6] = ["pending", "confirmed", "expired", "cancelled", "declined", "refunded"];

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

/// Up to `limit` buyers who wait or are admitted, in ticket order, from the first after `after` on.
///
/// # Errors
/// When the engine or the tables cannot answer.
pub async fn line(
    shop: &Shop,
    sale: SaleId,
    after: Option<Ticket>,
    limit: u32,
) -> Result<WithPeople<LineMember>, CatalogueError> {
    let rows = shop.engine.line(sale, after, limit as usize).await?;
    let people = people_of(shop, rows.iter().map(|member| member.buyer)).await?;
    Ok(WithPeople { rows, people })
}

/// Up to `limit` orders, newest first.
///
/// # Errors
/// When the tables cannot be asked.
pub async fn orders(
    shop: &Shop,
    filter: OrderFilter,
    limit: u32,
) -> Result<WithPeople<OrderRow>, StoreError> {
    let views = shop.engine.views();
    match filter.sale {
        Some(sale) => {
            let seq = views.get(sale).map_or(Seq(0), |view| view.seq);
            shop.projected.wait(sale, seq, PATIENCE).await;
        }
        None => {
            shop.projected.wait_for_all(views, PATIENCE).await;
        }
    }
    let buyer = match &filter.buyer {
        None => None,
        Some(who) => match find(shop, who).await? {
            Some(buyer) => Some(buyer),
            None => return Ok(WithPeople { rows: Vec::new(), people: HashMap::new() }),
        },
    };
    let filter = Filter { sale: filter.sale, buyer, status: filter.status, after: filter.after };
    let rows = orders::list(&shop.store, filter, limit).await?;
    let people = people_of(shop, rows.iter().map(|row| row.order.buyer)).await?;
    Ok(WithPeople { rows, people })
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

async fn find(shop: &Shop, who: &Who) -> Result<Option<BuyerId>, StoreError> {
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
    after: Option<Uuid>,
    limit: u32,
) -> Result<(WithPeople<AttemptRow>, u64), StoreError> {
    let seq = shop.engine.views().get(sale).map_or(Seq(0), |view| view.seq);
    shop.projected.wait(sale, seq, PATIENCE).await;
    let rows = attempts::list(&shop.store, sale, after, limit).await?;
    let counted = attempts::counted(&shop.store, sale).await?;
    let people = people_of(shop, rows.iter().filter_map(|row| row.buyer)).await?;
    Ok((WithPeople { rows, people }, counted))
}

/// Up to `limit` events of a sale's ledger, oldest first, from the first after `after` on.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn events(shop: &Shop, sale: SaleId, after: Seq, limit: u32) -> Result<Vec<Entry>, CatalogueError> {
    Ok(shop.engine.ledger().read(sale, after, limit as usize).await?)
}

/// Minor units that buyers paid and did not get back.
#[must_use]
pub fn revenue_minor(orders: &[StatusSum]) -> i64 {
    let paid = orders.iter().filter(|sum| sum.status == OrderStatus::Confirmed.as_str());
    paid.map(|sum| sum.amount_minor).sum()
}

async fn people_of(
    shop: &Shop,
    buyers: impl Iterator<Item = BuyerId>,
) -> Result<HashMap<BuyerId, Person>, StoreError> {
    let mut ids: Vec<BuyerId> = buyers.collect();
    ids.sort_unstable();
    ids.dedup();
    people::find(&shop.store, &ids).await
}
