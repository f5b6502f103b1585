//! An admin's views of a sale: overview, line and attempts. The line comes from the engine, totals and attempts from the tables, which may
//! be a moment behind.

use super::Shop;
use super::catalogue::CatalogueError;
use super::sales::ListedSale;
use crate::store::{StoreError, accounts, attempts, buyer_identities, guests, orders, payments, series};
use sale::{BuyerId, EventSeq, LineMember, OrderStatus, SaleId, Ticket};
use serde::Deserialize;
use std::collections::HashMap;

pub use crate::store::attempts::{AttemptFilter, AttemptRow};
pub use crate::store::buyer_identities::BuyerIdentity;
pub use crate::store::orders::StatusTotals;

/// Guests of one name who are found.
const NAMESAKES_MAX: u32 = 19;
/// The last minute, in milliseconds.
const MINUTE_MS: i64 = 60_000;

/// A sale's overview.
#[derive(Clone, Debug)]
pub struct DashboardOverview {
    pub sale: ListedSale,
    /// Totals of its orders by status.
    pub orders: Vec<StatusTotals>,
    /// Minor units of confirmed orders that went back in parts.
    pub refunded_parts_minor: i64,
    /// How many orders were made in the last minute.
    pub orders_last_minute: u64,
    /// Refused attempts by code.
    pub refusals: Vec<(String, u64)>,
    /// The last event that the tables show.
    pub projected: EventSeq,
}

/// Rows with their buyers.
#[derive(Clone, Debug)]
pub struct RowsWithBuyers<T> {
    pub rows: Vec<T>,
    /// Their buyers, as far as they have names.
    pub people: HashMap<BuyerId, BuyerIdentity>,
}

/// A buyer, by one of their names.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub enum BuyerSelector {
    Id(BuyerId),
    /// The account's e-mail address, or the text by which guests are known.
    Email(String),
}

impl From<String> for BuyerSelector {
    fn from(text: String) -> Self {
        match text.parse() {
            Ok(id) => Self::Id(id),
            Err(_) => Self::Email(text),
        }
    }
}

/// Reads a sale's overview.
///
/// # Errors
/// When the tables do not answer.
pub async fn load_overview(shop: &Shop, sale: ListedSale) -> Result<DashboardOverview, StoreError> {
    let id = sale.listing.sale;
    shop.projected.wait_for(id, sale.view.seq, shop.catch_up_timeouts.admin).await;
    let projected = shop.projected.delivered_seq(id);
    let since = shop.engine.now().plus_ms(-MINUTE_MS);
    Ok(DashboardOverview {
        orders: orders::totals_by_status(&shop.store, id).await?,
        refunded_parts_minor: payments::sum_parts_of_sale(&shop.store, id).await?,
        orders_last_minute: orders::count_made_since(&shop.store, id, since).await?,
        refusals: series::count_refusals_by_code(&shop.store, id).await?,
        projected,
        sale,
    })
}

/// Where a list of the line starts.
#[derive(Clone, Debug)]
pub enum LineStart {
    Head,
    /// From the first behind this ticket.
    Behind(Ticket),
    /// From this buyer's place; the list is empty when there is none.
    AtBuyer(BuyerSelector),
}

/// Up to `limit` buyers who wait or are admitted, in ticket order.
///
/// # Errors
/// When the engine or the tables do not answer.
pub async fn list_line(
    shop: &Shop,
    sale: SaleId,
    start: LineStart,
    limit: u32,
) -> Result<RowsWithBuyers<LineMember>, CatalogueError> {
    let after = match start {
        LineStart::Head => None,
        LineStart::Behind(ticket) => Some(ticket),
        LineStart::AtBuyer(selector) => match find_ticket(shop, sale, &selector).await? {
            Some(ticket) => ticket.0.checked_sub(1).map(Ticket),
            None => return Ok(RowsWithBuyers { rows: Vec::new(), people: HashMap::new() }),
        },
    };
    let rows = shop.engine.line_members(sale, after, limit as usize).await?;
    let people = find_buyers(shop, rows.iter().map(|member| member.buyer)).await?;
    Ok(RowsWithBuyers { rows, people })
}

/// The ticket of a buyer who waits or is admitted.
async fn find_ticket(
    shop: &Shop,
    sale: SaleId,
    selector: &BuyerSelector,
) -> Result<Option<Ticket>, CatalogueError> {
    for buyer in find_named(shop, selector).await? {
        let view = shop.engine.buyer(sale, buyer).await?;
        if let Some(ticket) = view.ticket.filter(|_| view.place.is_some()) {
            return Ok(Some(ticket));
        }
    }
    Ok(None)
}

/// The number in a sale's line that a receipt proves in this buyer's hands, if it proves one.
///
/// # Errors
/// When the tables do not answer.
pub async fn verify_receipt(
    shop: &Shop,
    sale: SaleId,
    selector: &BuyerSelector,
    receipt: &str,
) -> Result<Option<Ticket>, StoreError> {
    let buyers = find_named(shop, selector).await?;
    Ok(buyers.into_iter().find_map(|buyer| shop.receipts.verify(sale, buyer, receipt)))
}

/// Every buyer whom a selector names: one id, or the account with the address, and the guests who are known by it.
pub(super) async fn find_named(shop: &Shop, selector: &BuyerSelector) -> Result<Vec<BuyerId>, StoreError> {
    let name = match selector {
        BuyerSelector::Id(buyer) => return Ok(vec![*buyer]),
        BuyerSelector::Email(name) => name,
    };
    let lower = name.trim().to_lowercase();
    let account = accounts::find_by_email(&shop.store, &name.to_lowercase()).await?;
    let mut buyers: Vec<BuyerId> = account.map(|user| user.id).into_iter().collect();
    buyers.extend(guests::find_by_name(&shop.store, [name.as_str(), lower.as_str()], NAMESAKES_MAX).await?);
    Ok(buyers)
}

/// Up to `limit` attempts, newest first, and how many refusals of the sale were only counted.
///
/// # Errors
/// When the tables do not answer.
pub async fn list_attempts(
    shop: &Shop,
    sale: SaleId,
    filter: attempts::AttemptFilter<'_>,
    limit: u32,
) -> Result<(RowsWithBuyers<AttemptRow>, u64), StoreError> {
    let seq = shop.engine.views().get(sale).map_or(EventSeq(0), |view| view.seq);
    shop.projected.wait_for(sale, seq, shop.catch_up_timeouts.admin).await;
    let rows = attempts::list(&shop.store, sale, filter, limit).await?;
    let counted = attempts::count_aggregated(&shop.store, sale).await?;
    let people = find_buyers(shop, rows.iter().filter_map(|row| row.buyer)).await?;
    Ok((RowsWithBuyers { rows, people }, counted))
}

/// Minor units that buyers paid here and did not get back, as a whole or in parts. What is sold without a payment is not in it.
#[must_use]
pub fn revenue_minor(orders: &[StatusTotals], refunded_parts_minor: i64) -> i64 {
    let paid = orders.iter().filter(|totals| totals.status == OrderStatus::Confirmed.as_str());
    paid.map(|totals| totals.paid_minor).sum::<i64>() - refunded_parts_minor
}

pub(super) async fn find_buyers(
    shop: &Shop,
    buyers: impl Iterator<Item = BuyerId>,
) -> Result<HashMap<BuyerId, BuyerIdentity>, StoreError> {
    let mut ids: Vec<BuyerId> = buyers.collect();
    ids.sort_unstable();
    ids.dedup();
    buyer_identities::find_identities(&shop.store, &ids).await
}
