//! Orders in pages by offset, with exact totals, newest first. The tables may lag; what they lack is read from the engine (of one buyer) or
//! from the ledger (of all), so that a page has every order whose purchase was answered. It is for callers that need page numbers; pages
//! by cursor ([`super::orders::list`], [`super::all_orders`]) cost less.

use super::Shop;
use super::catalogue::CatalogueError;
use super::dashboard::{BuyerIdentity, BuyerSelector, find_buyers, find_named};
use super::fresh_views::{list_selling, refresh_views};
use super::orders::with_price;
use super::unanswered::UnansweredError;
use super::unprojected::read_unprojected;
use crate::store::StoreError;
use crate::store::orders::{self as rows, OffsetFilter};
use engine::SaleView;
use sale::{
    BuyerId, Event, EventSeq, LedgerEntry, OrderId, OrderStatus, OrderView, ReleaseCause, SaleId, Timestamp,
    UnitSource,
};
use std::collections::{HashMap, HashSet};

pub use crate::store::orders::OrderRow;

/// How often a page is read again because the tables moved meanwhile.
const TRIES_MAX: u32 = 3;

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageOffset {
    /// Orders before the page.
    pub offset: u64,
    /// Orders in the page, at most.
    pub limit: u32,
}

/// A page of orders.
#[derive(Clone, Debug, Default)]
pub struct NumberedPage {
    /// Newest first.
    pub orders: Vec<OrderRow>,
    /// How many orders all pages have together.
    pub total: u64,
    /// The buyers, as far as they have a name.
    pub people: HashMap<BuyerId, BuyerIdentity>,
}

/// What is known of an order beyond the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FreshOrder {
    row: OrderRow,
    /// Whether `row` is the whole order; otherwise only its status is newer than the tables.
    is_whole: bool,
}

/// A buyer's orders, in one sale or in all.
///
/// # Errors
/// When the tables or the engine do not answer.
pub async fn list_of_buyer(
    shop: &Shop,
    buyer: BuyerId,
    sale: Option<SaleId>,
    page: PageOffset,
) -> Result<NumberedPage, UnansweredError> {
    refresh_views(shop, list_selling(shop, sale).await?).await?;
    let filter = OffsetFilter { sale, buyers: Some(vec![buyer]) };
    let mut tries = 0;
    loop {
        tries += 1;
        let lagging = find_lagging(shop, sale);
        let mut fresh = HashMap::new();
        if !lagging.is_empty() {
            let seen = lagging.iter().map(|(sale, _)| *sale).collect();
            for (sale, view) in shop.engine.buyer_orders(buyer, seen).await? {
                let Some(order) = with_price(shop, sale, view) else { continue };
                let unit_price = order.unit_price;
                let row = OrderRow {
                    sale,
                    order: view,
                    unit_price,
                    paid_at: None,
                    made_seq: EventSeq(0),
                    seq: EventSeq(0),
                };
                fresh.insert(view.id, FreshOrder { row, is_whole: true });
            }
        }
        let (orders, total) = load_page(shop, &filter, &fresh, page).await?;
        refresh_views(shop, orders.iter().map(|row| row.sale).collect::<HashSet<_>>()).await?;
        if is_settled(shop, &lagging, &orders) || tries >= TRIES_MAX {
            return Ok(NumberedPage { orders, total, people: HashMap::new() });
        }
    }
}

/// Orders of all buyers, or of those who bear a name: the address of an account, or the text by which a guest is known.
///
/// # Errors
/// When the tables, the engine or the ledger do not answer.
pub async fn list_of_all(
    shop: &Shop,
    sale: Option<SaleId>,
    name: Option<&str>,
    page: PageOffset,
) -> Result<NumberedPage, CatalogueError> {
    let buyers = match name {
        Some(name) => Some(find_named(shop, &BuyerSelector::Email(name.to_owned())).await?),
        None => None,
    };
    if buyers.as_ref().is_some_and(Vec::is_empty) {
        return Ok(NumberedPage::default());
    }
    refresh_views(shop, list_selling(shop, sale).await?).await?;
    let filter = OffsetFilter { sale, buyers };
    if !find_lagging(shop, sale).is_empty() {
        shop.projected.wait_for_all(shop.engine.views(), shop.catch_up_timeouts.admin).await;
    }
    let mut tries = 0;
    loop {
        tries += 1;
        let lagging = find_lagging(shop, sale);
        let mut fresh = HashMap::new();
        for (sale, after) in &lagging {
            let Some(view) = shop.engine.views().get(*sale) else { continue };
            read_unprojected(shop, *sale, *after, |entry| apply_entry(&mut fresh, entry, &view)).await?;
        }
        if let Some(buyers) = &filter.buyers {
            fresh.retain(|_, order: &mut FreshOrder| buyers.contains(&order.row.order.buyer));
        }
        let (orders, total) = load_page(shop, &filter, &fresh, page).await?;
        refresh_views(shop, orders.iter().map(|row| row.sale).collect::<HashSet<_>>()).await?;
        if is_settled(shop, &lagging, &orders) || tries >= TRIES_MAX {
            let people = find_buyers(shop, orders.iter().map(|row| row.order.buyer)).await?;
            return Ok(NumberedPage { orders, total, people });
        }
    }
}

/// The sales, of those asked for, of which the tables lack events, with the last event that they have.
fn find_lagging(shop: &Shop, sale: Option<SaleId>) -> Vec<(SaleId, EventSeq)> {
    let lagging = shop.projected.lagging_sales(shop.engine.views()).into_iter();
    let lagging = lagging.filter(|lagging| sale.is_none_or(|sale| sale == *lagging));
    lagging.map(|sale| (sale, shop.projected.delivered_seq(sale))).collect()
}

/// Whether the tables stood still since, and lack nothing of the orders that was not read beside them.
fn is_settled(shop: &Shop, lagging: &[(SaleId, EventSeq)], orders: &[OrderRow]) -> bool {
    let was_read = |sale| lagging.iter().any(|(read, _)| *read == sale);
    let is_whole = |sale| {
        let view = shop.engine.views().get(sale);
        view.is_none_or(|view| shop.projected.delivered_seq(sale) >= view.seq)
    };
    lagging.iter().all(|(sale, seq)| shop.projected.delivered_seq(*sale) == *seq)
        && orders.iter().all(|row| was_read(row.sale) || is_whole(row.sale))
}

/// The page and the total, from the tables and what they lack.
async fn load_page(
    shop: &Shop,
    filter: &OffsetFilter,
    fresh: &HashMap<OrderId, FreshOrder>,
    PageOffset { offset, limit }: PageOffset,
) -> Result<(Vec<OrderRow>, u64), StoreError> {
    // Known ones first: an order that the tables get in between is there twice and taken once, and never missed.
    let ids: Vec<OrderId> = fresh.keys().copied().collect();
    let known = if ids.is_empty() { HashSet::new() } else { rows::find_known(&shop.store, &ids).await? };
    let mut missing: Vec<OrderRow> = fresh
        .values()
        .filter(|order| order.is_whole && !known.contains(&order.row.order.id))
        .map(|order| order.row.clone())
        .collect();
    let count = rows::count_matching(&shop.store, filter).await?;
    // So many of the missing ones may stand before the page.
    let skipped = offset.saturating_sub(missing.len() as u64);
    let missing_len = u32::try_from(missing.len()).unwrap_or(u32::MAX);
    let listed =
        rows::list_from_offset(&shop.store, filter, skipped, limit.saturating_add(missing_len)).await?;
    let total = count + missing.len() as u64;
    let listed: Vec<OrderRow> = listed.into_iter().map(|row| update_row(row, fresh)).collect();
    let seen: HashSet<OrderId> = listed.iter().map(|row| row.order.id).collect();
    missing.retain(|row| !seen.contains(&row.order.id));
    let orders = merge_pages(listed, missing, offset - skipped, limit);
    Ok((orders, total))
}

/// The newest first of both lists, without the first `skip`.
fn merge_pages(listed: Vec<OrderRow>, missing: Vec<OrderRow>, skip: u64, limit: u32) -> Vec<OrderRow> {
    let mut all = listed;
    all.extend(missing);
    all.sort_unstable_by_key(|row| std::cmp::Reverse((row.order.made_at, row.order.id)));
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    all.into_iter().skip(skip).take(limit as usize).collect()
}

/// The row as it is now.
fn update_row(row: OrderRow, fresh: &HashMap<OrderId, FreshOrder>) -> OrderRow {
    let Some(FreshOrder { row: newer, .. }) = fresh.get(&row.order.id) else { return row };
    let changed_at = newer.order.changed_at.max(row.order.changed_at);
    let order = OrderView { status: newer.order.status, changed_at, ..row.order };
    OrderRow { order, paid_at: newer.paid_at.or(row.paid_at), ..row }
}

/// Adds what an event says of an order.
fn apply_entry(fresh: &mut HashMap<OrderId, FreshOrder>, entry: &LedgerEntry, view: &SaleView) {
    let (buyer, id, quantity, status) = match entry.event {
        Event::Held { buyer, order, quantity, until, .. } => {
            (buyer, order, quantity, OrderStatus::Pending { until, paying_until: None })
        }
        Event::PaymentBegun { buyer, order, quantity, held_until, until } => {
            let status = OrderStatus::Pending { until: held_until, paying_until: Some(until) };
            (buyer, order, quantity, status)
        }
        Event::PaymentEnded { buyer, order, quantity, until } => {
            (buyer, order, quantity, OrderStatus::Pending { until, paying_until: None })
        }
        Event::Confirmed { buyer, order, quantity, .. } => (buyer, order, quantity, OrderStatus::Confirmed),
        Event::Released { buyer, order, quantity, reason } => {
            let status = match reason {
                ReleaseCause::Cancelled => OrderStatus::Cancelled,
                ReleaseCause::Declined => OrderStatus::Declined,
                ReleaseCause::Expired => OrderStatus::Expired,
            };
            (buyer, order, quantity, status)
        }
        Event::Refunded { buyer, order, quantity, restocked } => {
            (buyer, order, quantity, OrderStatus::Refunded { restocked })
        }
        Event::Configured { .. }
        | Event::Paused
        | Event::Resumed
        | Event::Closed
        | Event::Restocked { .. }
        | Event::Joined { .. }
        | Event::Left { .. }
        | Event::Admitted { .. }
        | Event::Lapsed { .. }
        | Event::Extended { .. } => return,
    };
    let is_paid = matches!(entry.event, Event::Confirmed { from, .. }
        if from == UnitSource::Hold || !view.policy.sells_at_once());
    let (at, paid_at) = (entry.at, is_paid.then_some(entry.at));
    if let Some(known) = fresh.get_mut(&id) {
        known.row.order.status = status;
        if !matches!(status, OrderStatus::Pending { .. }) {
            known.row.order.changed_at = at;
        }
        known.row.paid_at = paid_at.or(known.row.paid_at);
        return;
    }
    let is_first = match entry.event {
        Event::Held { .. } => true,
        Event::Confirmed { from, .. } => from != UnitSource::Hold && view.policy.sells_at_once(),
        _ => false,
    };
    // A payment in progress changes the hold of a pending order, not its status.
    let is_status = is_first || !matches!(status, OrderStatus::Pending { .. });
    let changed_at = if is_status { at } else { Timestamp(0) };
    let order = OrderView { id, buyer, quantity, made_at: at, changed_at, status };
    let row = OrderRow {
        sale: view.id,
        order,
        unit_price: view.policy.unit_price,
        paid_at,
        made_seq: entry.seq,
        seq: entry.seq,
    };
    fresh.insert(id, FreshOrder { row, is_whole: is_first });
}

#[cfg(test)]
mod tests {
    use super::*;
    use sale::Money;
    use uuid::Uuid;

    fn row(made_at: i64) -> OrderRow {
        let order = OrderView {
            id: OrderId(Uuid::from_u128(made_at.unsigned_abs().into())),
            buyer: BuyerId(Uuid::nil()),
            quantity: 1,
            made_at: Timestamp(made_at),
            changed_at: Timestamp(made_at),
            status: OrderStatus::Confirmed,
        };
        let unit_price = Money { minor: 1, currency: "EUR".parse().unwrap() };
        OrderRow {
            sale: SaleId(Uuid::nil()),
            order,
            unit_price,
            paid_at: None,
            made_seq: EventSeq(1),
            seq: EventSeq(1),
        }
    }

    /// Every page of every split of ten orders between the tables and what they lack is the page of all of them.
    #[test]
    fn a_page_is_the_same_wherever_its_orders_are() {
        let all: Vec<i64> = (1..=10).rev().collect();
        for split in 0..1_u32 << 10 {
            let is_missing = |at: &&i64| split >> (**at - 1) & 1 == 1;
            let missing: Vec<OrderRow> = all.iter().filter(is_missing).map(|at| row(*at)).collect();
            let stored: Vec<OrderRow> = all.iter().filter(|at| !is_missing(at)).map(|at| row(*at)).collect();
            for (offset, limit) in [(0, 3), (3, 3), (6, 3), (9, 3), (2, 1), (0, 20), (10, 3)] {
                let skipped = u64::saturating_sub(offset, missing.len() as u64);
                let from = usize::try_from(skipped).unwrap();
                let listed: Vec<OrderRow> =
                    stored.iter().skip(from).take(limit as usize + missing.len()).cloned().collect();
                let page = merge_pages(listed, missing.clone(), offset - skipped, limit);
                let page: Vec<i64> = page.iter().map(|row| row.order.made_at.0).collect();
                let expected: Vec<i64> =
                    all.iter().skip(usize::try_from(offset).unwrap()).take(limit as usize).copied().collect();
                assert_eq!(page, expected, "{split:b} {offset} {limit}");
            }
        }
    }
}
