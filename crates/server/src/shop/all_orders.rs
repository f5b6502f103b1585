//! Orders of all buyers, for admins: filters and pages, newest first. It reads the tables, waits a moment for them to catch up, and never
//! reads more rows for one page than [`SCANNED_MAX`].

use super::Shop;
use super::dashboard::{BuyerSelector, find_buyers, find_named};
use crate::store::orders::{MATCHES_MAX, OrderRowFilter, SearchMatches};
use crate::store::{StoreError, buyer_identities, orders};
use sale::{BuyerId, EventSeq, OrderId, SaleId, Timestamp};
use std::collections::HashMap;
use uuid::Uuid;

pub use crate::store::buyer_identities::BuyerIdentity;
pub use crate::store::orders::OrderRow;

/// Every status an order can have.
pub const STATUSES: [&str; 6] = ["pending", "confirmed", "expired", "cancelled", "declined", "refunded"];

/// Orders that are read for one page, when a search matches so many buyers that orders are matched one by one. It takes about a tenth
/// of a second.
const SCANNED_MAX: usize = 10_000;
/// Orders that are read at a time for that.
const SCANNED_AT_ONCE: u32 = 1_000;
/// Shortest part of an id that is searched for: the ids of one week share the first four characters.
const ID_PART_LEN_MIN: usize = 4;

/// Which orders an admin lists. `None` matches every order.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    pub sale: Option<SaleId>,
    pub buyer: Option<BuyerSelector>,
    /// In one status, a word of [`OrderStatus::as_str`](sale::OrderStatus::as_str).
    pub status: Option<&'static str>,
    /// A part of the buyer's address or name or of the order's id, or the whole id of a buyer.
    pub search: Option<String>,
    /// Made at this moment or later.
    pub from: Option<Timestamp>,
    /// Made before this moment.
    pub to: Option<Timestamp>,
}

/// A filter whose search was resolved once, for all its pages.
#[derive(Clone, Debug)]
pub struct OrderQuery {
    filter: OrderRowFilter,
    scope: SearchScope,
}

/// The buyers and ids that a search matches.
#[derive(Clone, Debug)]
enum SearchScope {
    All,
    None,
    /// Few enough for one query.
    Few(SearchMatches),
    /// Too many: orders are matched one by one with this text, in lower case.
    Many(String),
    /// The orders of these buyers are matched one by one with this text.
    OfBuyers(SearchMatches, String),
}

/// Where a listing is: behind this order.
pub type OrderCursor = (Timestamp, OrderId);

/// A page of orders with their buyers.
#[derive(Clone, Debug, Default)]
pub struct OrderPage {
    /// The orders, newest first. There may be fewer than the limit, or none, before the last page.
    pub rows: Vec<OrderRow>,
    /// Their buyers, as far as they have names.
    pub people: HashMap<BuyerId, BuyerIdentity>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<OrderCursor>,
}

/// Resolves a filter's search, after the tables have caught up.
///
/// # Errors
/// When the tables do not answer.
pub async fn build_query(shop: &Shop, filter: OrderFilter) -> Result<OrderQuery, StoreError> {
    wait_for_tables(shop, filter.sale).await;
    let OrderFilter { sale, buyer, status, search, from, to } = filter;
    let buyers = match &buyer {
        None => None,
        Some(selector) => Some(find_named(shop, selector).await?),
    };
    let (buyer, scope) = match (buyers.as_deref(), search) {
        (Some([]), _) => (None, SearchScope::None),
        (None, None) => (None, SearchScope::All),
        (None, Some(text)) => (None, resolve_search(shop, text).await?),
        (Some([buyer]), None) => (Some(*buyer), SearchScope::All),
        (Some([buyer]), Some(text)) => (Some(*buyer), resolve_search(shop, text).await?),
        (Some(several), search) => {
            let matches = SearchMatches { buyers: several.to_vec(), orders: Vec::new() };
            let scope = match search {
                None => SearchScope::Few(matches),
                Some(text) => SearchScope::OfBuyers(matches, text.to_lowercase()),
            };
            (None, scope)
        }
    };
    Ok(OrderQuery { filter: OrderRowFilter { sale, buyer, status, from, to, after: None }, scope })
}

async fn wait_for_tables(shop: &Shop, sale: Option<SaleId>) {
    let views = shop.engine.views();
    match sale {
        Some(sale) => {
            let seq = views.get(sale).map_or(EventSeq(0), |view| view.seq);
            shop.projected.wait_for(sale, seq, shop.catch_up_timeouts.admin).await;
        }
        None => {
            shop.projected.wait_for_all(views, shop.catch_up_timeouts.admin).await;
        }
    }
}

async fn resolve_search(shop: &Shop, text: String) -> Result<SearchScope, StoreError> {
    let text = text.to_lowercase();
    if let Ok(id) = Uuid::try_parse(&text) {
        return Ok(SearchScope::Few(SearchMatches { buyers: vec![BuyerId(id)], orders: vec![OrderId(id)] }));
    }
    let limit = u32::try_from(MATCHES_MAX + 1).unwrap_or(u32::MAX);
    let buyers = buyer_identities::search_buyers(&shop.store, &text, limit).await?;
    let is_of_an_id = text.len() >= ID_PART_LEN_MIN
        && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        && buyers.len() <= MATCHES_MAX;
    let orders =
        if is_of_an_id { orders::find_ids_like(&shop.store, &text, limit).await? } else { Vec::new() };
    Ok(match (buyers.len(), orders.len()) {
        (0, 0) => SearchScope::None,
        (0..=MATCHES_MAX, 0..=MATCHES_MAX) => SearchScope::Few(SearchMatches { buyers, orders }),
        _ => SearchScope::Many(text),
    })
}

impl OrderQuery {
    /// Up to `limit` orders behind `after`.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn load_page(
        &self,
        shop: &Shop,
        after: Option<OrderCursor>,
        limit: u32,
    ) -> Result<OrderPage, StoreError> {
        let filter = OrderRowFilter { after, ..self.filter };
        // One too many says that there is a next page.
        let rows = match &self.scope {
            SearchScope::None => Vec::new(),
            SearchScope::All => orders::list(&shop.store, filter, limit + 1).await?,
            SearchScope::Few(matches) => {
                orders::list_matching(&shop.store, filter, matches, limit + 1).await?
            }
            SearchScope::Many(text) => return scan_orders(shop, filter, None, text, limit as usize).await,
            SearchScope::OfBuyers(matches, text) => {
                return scan_orders(shop, filter, Some(matches), text, limit as usize).await;
            }
        };
        let next = rows.get(limit as usize).and(rows.get(limit as usize - 1)).map(row_cursor);
        let rows: Vec<OrderRow> = rows.into_iter().take(limit as usize).collect();
        let people = find_buyers(shop, rows.iter().map(|row| row.order.buyer)).await?;
        Ok(OrderPage { rows, people, next })
    }
}

/// Matches orders, all or some buyers', one by one with a text.
async fn scan_orders(
    shop: &Shop,
    mut filter: OrderRowFilter,
    matches: Option<&SearchMatches>,
    text: &str,
    limit: usize,
) -> Result<OrderPage, StoreError> {
    let mut page = OrderPage::default();
    let mut scanned = 0;
    while scanned < SCANNED_MAX {
        let rows = match matches {
            None => orders::list(&shop.store, filter, SCANNED_AT_ONCE).await?,
            Some(matches) => orders::list_matching(&shop.store, filter, matches, SCANNED_AT_ONCE).await?,
        };
        let people = find_buyers(shop, rows.iter().map(|row| row.order.buyer)).await?;
        let is_end = rows.len() < SCANNED_AT_ONCE as usize;
        scanned += rows.len();
        for row in rows {
            if page.rows.len() == limit {
                page.next = filter.after;
                return Ok(page);
            }
            filter.after = Some(row_cursor(&row));
            let person = people.get(&row.order.buyer);
            if !matches_text(&row, person, text) {
                continue;
            }
            page.people.extend(person.map(|person| (row.order.buyer, person.clone())));
            page.rows.push(row);
        }
        if is_end {
            return Ok(page);
        }
    }
    page.next = filter.after;
    Ok(page)
}

fn matches_text(row: &OrderRow, person: Option<&BuyerIdentity>, text: &str) -> bool {
    row.order.id.to_string().contains(text)
        || row.order.buyer.to_string() == text
        || person.is_some_and(|person| {
            let username = person.username.as_deref().unwrap_or_default();
            person.email.to_lowercase().contains(text) || username.to_ascii_lowercase().contains(text)
        })
}

fn row_cursor(row: &OrderRow) -> OrderCursor {
    (row.order.made_at, row.order.id)
}
