//! The `orders` table, as the projector writes it. It follows the ledger and may be behind it; nothing is decided by it.

use super::bulk_insert::BulkInsert;
use super::{Store, StoreError, StoreTransaction, like_pattern};
use sale::{BuyerId, EventSeq, Money, OrderId, OrderStatus, OrderView, SaleId, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use std::collections::HashSet;
use std::sync::OnceLock;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    pub sale: SaleId,
    pub order: OrderView,
    /// The price of one unit, as promised when the order was made.
    pub unit_price: Money,
    /// When it was paid, if it was held before that.
    pub paid_at: Option<Timestamp>,
    /// The event that made it. A row that is there keeps its own.
    pub made_seq: EventSeq,
    /// The event that last changed it.
    pub seq: EventSeq,
}

/// Filters of a list of orders. A filter that is `None` matches every order.
#[derive(Clone, Copy, Debug, Default)]
pub struct OrderRowFilter {
    pub sale: Option<SaleId>,
    pub buyer: Option<BuyerId>,
    /// In one status: a word of [`OrderStatus::as_str`].
    pub status: Option<&'static str>,
    /// Made at this moment or later.
    pub from: Option<Timestamp>,
    /// Made before this moment.
    pub to: Option<Timestamp>,
    /// Made before this order, in the order of the listing.
    pub after: Option<(Timestamp, OrderId)>,
}

/// What a search has found: orders of these buyers, and these orders themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchMatches {
    /// The buyers, at most [`MATCHES_MAX`].
    pub buyers: Vec<BuyerId>,
    /// The orders, at most [`MATCHES_MAX`].
    pub orders: Vec<OrderId>,
}

/// Buyers, or orders, that one statement names. A scan is faster than a statement that names more.
pub const MATCHES_MAX: usize = 200;

/// Which orders a list by offset has: those of one sale, or of all; those of some buyers, or of everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFilter {
    pub sale: Option<SaleId>,
    /// At most [`OFFSET_BUYERS_MAX`]; `None` is everyone.
    pub buyers: Option<Vec<BuyerId>>,
}

/// Buyers of one list by offset: those who bear one name.
pub const OFFSET_BUYERS_MAX: usize = 20;

/// The totals of a sale's orders in one status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusTotals {
    pub status: String,
    pub orders: u64,
    /// Their units.
    pub units: u64,
    /// Their price, in minor units.
    pub amount_minor: i64,
    /// The price of those that were paid here, in minor units.
    pub paid_minor: i64,
}

pub(super) static UPSERT: BulkInsert = BulkInsert::new(
    "INSERT INTO orders (id, sale_id, buyer_id, quantity, unit_price_minor, currency, status, expires_at, paying_until, \
     restocked, made_at, changed_at, paid_at, made_seq, seq)",
    15,
    // An order's quantity, price and first event never change: that event inserts them.
    "ON CONFLICT (id) DO UPDATE SET \
     status = excluded.status, \
     expires_at = excluded.expires_at, \
     paying_until = excluded.paying_until, \
     restocked = excluded.restocked, \
     changed_at = CASE WHEN excluded.status = 'pending' THEN orders.changed_at ELSE excluded.changed_at END, \
     paid_at = COALESCE(excluded.paid_at, orders.paid_at), \
     seq = excluded.seq \
     WHERE excluded.seq > orders.seq",
);

pub(super) const STATEMENTS: &[&str] = &[DROP, TOTALS_BY_STATUS, MADE_SINCE, FIND_IDS_LIKE];

pub(super) const DROP: &str = "
DELETE FROM orders WHERE sale_id = $1";

const TOTALS_BY_STATUS: &str = "
SELECT
    status,
    COUNT(*) AS orders,
    CAST(SUM(quantity) AS BIGINT) AS units,
    CAST(SUM(quantity * unit_price_minor) AS BIGINT) AS amount_minor,
    CAST(SUM(CASE WHEN paid_at IS NULL THEN 0 ELSE quantity * unit_price_minor END) AS BIGINT) AS paid_minor
FROM orders
WHERE sale_id = $1
GROUP BY status
ORDER BY status";

const MADE_SINCE: &str = "
SELECT COUNT(*) FROM orders WHERE sale_id = $1 AND made_at >= $2";

// Reads the index of ids alone: a quarter of a second for a million orders.
const FIND_IDS_LIKE: &str = "
SELECT id FROM orders WHERE id LIKE $1 ESCAPE '\\' LIMIT $2";

/// Each combination of the filters has a text of its own, so that the database can plan it with the right index.
static LISTS: OnceLock<[String; 16]> = OnceLock::new();

/// Behind every id that an order has.
const BEHIND_ALL: Uuid = Uuid::max();

const OF_SALE: usize = 1;
const OF_BUYER: usize = 2;
const IN_STATUS: usize = 4;
const AMONG_MATCHES: usize = 8;

pub(super) fn list_statements() -> &'static [String; 16] {
    LISTS.get_or_init(|| std::array::from_fn(build_list_statement))
}

fn build_list_statement(filters: usize) -> String {
    let mut conditions = Vec::new();
    let mut parameters = 0;
    let mut next = || {
        parameters += 1;
        parameters
    };
    // Few orders are of one buyer, many of one sale: an expression keeps the database from going by the sale's index then.
    let by_buyer = filters & (OF_BUYER | AMONG_MATCHES) != 0;
    let sale = if by_buyer { "(sale_id || '')" } else { "sale_id" };
    for (filter, column) in [(OF_SALE, sale), (OF_BUYER, "buyer_id"), (IN_STATUS, "status")] {
        if filters & filter != 0 {
            conditions.push(format!("{column} = ${}", next()));
        }
    }
    if filters & AMONG_MATCHES != 0 {
        let mut list = || (0..MATCHES_MAX).map(|_| format!("${}", next())).collect::<Vec<_>>().join(", ");
        conditions.push(format!("(buyer_id IN ({}) OR id IN ({}))", list(), list()));
    }
    let (from, until, before) = (next(), next(), next());
    // As one range and an exception at its end: each page then begins where the last one ended, not at the newest order.
    conditions.push(format!(
        "made_at >= ${from} AND made_at <= ${until} AND (made_at < ${until} OR id < ${before})"
    ));
    format!(
        "SELECT id, sale_id, buyer_id, quantity, unit_price_minor, currency, status, expires_at, paying_until, restocked, \
         made_at, changed_at, paid_at, made_seq, seq FROM orders WHERE {} ORDER BY made_at DESC, id DESC LIMIT ${}",
        conditions.join(" AND "),
        next()
    )
}

/// Ids a statement; a question for fewer repeats its last one.
const IDS: usize = 50;

static OFFSET_STATEMENTS: OnceLock<OffsetStatements> = OnceLock::new();

/// The statements of lists by offset. Each combination of the filters has its own, for the planner.
struct OffsetStatements {
    pages: [String; 4],
    counts: [String; 4],
    find_known: String,
}

fn offset_statements_once() -> &'static OffsetStatements {
    OFFSET_STATEMENTS.get_or_init(|| {
        let list = |from: usize, len: usize| {
            (from..from + len).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
        };
        let conditions = |filters: usize| {
            let mut conditions = Vec::new();
            let mut parameters = 0;
            if filters & OF_SALE != 0 {
                parameters += 1;
                conditions.push(format!("sale_id = ${parameters}"));
            }
            if filters & OF_BUYER != 0 {
                conditions.push(format!("buyer_id IN ({})", list(parameters + 1, OFFSET_BUYERS_MAX)));
                parameters += OFFSET_BUYERS_MAX;
            }
            let text = if conditions.is_empty() {
                String::new()
            } else {
                format!(" WHERE {}", conditions.join(" AND "))
            };
            (text, parameters)
        };
        OffsetStatements {
            pages: std::array::from_fn(|filters| {
                let (conditions, parameters) = conditions(filters);
                format!(
                    "SELECT id, sale_id, buyer_id, quantity, unit_price_minor, currency, status, expires_at, \
                     paying_until, restocked, made_at, changed_at, paid_at, made_seq, seq FROM orders{conditions} \
                     ORDER BY made_at DESC, id DESC LIMIT ${} OFFSET ${}",
                    parameters + 1,
                    parameters + 2
                )
            }),
            counts: std::array::from_fn(|filters| {
                format!("SELECT COUNT(*) FROM orders{}", conditions(filters).0)
            }),
            find_known: format!("SELECT id FROM orders WHERE id IN ({})", list(1, IDS)),
        }
    })
}

/// The statements of lists by offset.
pub(super) fn offset_statements() -> impl Iterator<Item = &'static str> {
    let OffsetStatements { pages, counts, find_known } = offset_statements_once();
    pages.iter().chain(counts).chain([find_known]).map(String::as_str)
}

impl OffsetFilter {
    fn bits(&self) -> usize {
        let bit = |is_set: bool, bit: usize| if is_set { bit } else { 0 };
        bit(self.sale.is_some(), OF_SALE) + bit(self.buyers.is_some(), OF_BUYER)
    }

    /// The values of the statement's conditions; what is not given equals nothing.
    fn values(&self) -> impl Iterator<Item = Option<String>> {
        let buyers = self.buyers.as_ref().map(|buyers| {
            (0..OFFSET_BUYERS_MAX).map(|n| buyers.get(n).map(BuyerId::to_string)).collect::<Vec<_>>()
        });
        self.sale.map(|sale| Some(sale.to_string())).into_iter().chain(buyers.into_iter().flatten())
    }
}

/// Up to `limit` orders, newest first, without the first `offset`.
///
/// # Errors
/// When the database fails.
pub async fn list_from_offset(
    store: &Store,
    filter: &OffsetFilter,
    offset: u64,
    limit: u32,
) -> Result<Vec<OrderRow>, StoreError> {
    let statement = &offset_statements_once().pages[filter.bits()];
    let query = filter
        .values()
        .fold(sqlx::query(AssertSqlSafe(statement.as_str())), |query, value| query.bind(value));
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let query = query.bind(i64::from(limit)).bind(offset);
    query.fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// How many orders the filter matches.
///
/// # Errors
/// When the database fails.
pub async fn count_matching(store: &Store, filter: &OffsetFilter) -> Result<u64, StoreError> {
    let statement = &offset_statements_once().counts[filter.bits()];
    let query = filter
        .values()
        .fold(sqlx::query_scalar(AssertSqlSafe(statement.as_str())), |query, value| query.bind(value));
    let count: i64 = query.fetch_one(store.reader()).await?;
    Ok(count.unsigned_abs())
}

/// Those of the orders that the table has.
///
/// # Errors
/// When the database fails.
pub async fn find_known(store: &Store, ids: &[OrderId]) -> Result<HashSet<OrderId>, StoreError> {
    let mut known = HashSet::new();
    for ids in ids.chunks(IDS) {
        let mut query = sqlx::query_scalar(AssertSqlSafe(offset_statements_once().find_known.as_str()));
        for n in 0..IDS {
            query = query.bind(ids.get(n).or(ids.last()).map(OrderId::to_string));
        }
        let found: Vec<String> = query.fetch_all(store.reader()).await?;
        known.extend(found.into_iter().map(parse_order_id).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(known)
}

fn parse_order_id(id: String) -> Result<OrderId, StoreError> {
    match id.parse() {
        Ok(order) => Ok(order),
        Err(_) => Err(StoreError::Damaged { table: "orders", id, reason: "its id is not a UUID" }),
    }
}

/// Writes orders as they are at their `seq`; a row that is newer stays. No order may be given twice.
///
/// # Errors
/// When the database fails.
pub async fn upsert(writing: &mut StoreTransaction, rows: &[OrderRow]) -> Result<(), StoreError> {
    let write = UPSERT.insert_rows(writing, rows, |bound, row| {
        let (until, paying_until) = match row.order.status {
            OrderStatus::Pending { until, paying_until } => {
                (Some(until.0), paying_until.map(|until| until.0))
            }
            _ => (None, None),
        };
        let restocked = matches!(row.order.status, OrderStatus::Refunded { restocked: true });
        bound
            .bind(row.order.id.to_string())
            .bind(row.sale.to_string())
            .bind(row.order.buyer.to_string())
            .bind(i64::from(row.order.quantity))
            .bind(row.unit_price.minor)
            .bind(row.unit_price.currency.as_str())
            .bind(row.order.status.as_str())
            .bind(until)
            .bind(paying_until)
            .bind(i64::from(restocked))
            .bind(row.order.made_at.0)
            .bind(row.order.changed_at.0)
            .bind(row.paid_at.map(|at| at.0))
            .bind(row.made_seq.0.cast_signed())
            .bind(row.seq.0.cast_signed())
    });
    write.await
}

/// Up to `limit` orders, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(store: &Store, filter: OrderRowFilter, limit: u32) -> Result<Vec<OrderRow>, StoreError> {
    select(store, filter, None, limit).await
}

/// Up to `limit` of the orders that a search has found, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list_matching(
    store: &Store,
    filter: OrderRowFilter,
    matches: &SearchMatches,
    limit: u32,
) -> Result<Vec<OrderRow>, StoreError> {
    select(store, filter, Some(matches), limit).await
}

async fn select(
    store: &Store,
    filter: OrderRowFilter,
    matches: Option<&SearchMatches>,
    limit: u32,
) -> Result<Vec<OrderRow>, StoreError> {
    let OrderRowFilter { sale, buyer, status, from, to, after } = filter;
    let bit = |is_set: bool, bit: usize| if is_set { bit } else { 0 };
    let filters = bit(sale.is_some(), OF_SALE)
        + bit(buyer.is_some(), OF_BUYER)
        + bit(status.is_some(), IN_STATUS)
        + bit(matches.is_some(), AMONG_MATCHES);
    let mut query = sqlx::query(AssertSqlSafe(list_statements()[filters].as_str()));
    let texts =
        [sale.map(|sale| sale.to_string()), buyer.map(|buyer| buyer.to_string()), status.map(str::to_owned)];
    for text in texts.into_iter().flatten() {
        query = query.bind(text);
    }
    if let Some(SearchMatches { buyers, orders }) = matches {
        // What is not given equals nothing.
        for n in 0..MATCHES_MAX {
            query = query.bind(buyers.get(n).map(BuyerId::to_string));
        }
        for n in 0..MATCHES_MAX {
            query = query.bind(orders.get(n).map(OrderId::to_string));
        }
    }
    let last = to.map_or(i64::MAX, |to| to.0.saturating_sub(1));
    let (until, before) = match after {
        Some((at, id)) if at.0 <= last => (at.0, id.0),
        _ => (last, BEHIND_ALL),
    };
    query = query.bind(from.map_or(0, |from| from.0)).bind(until).bind(before.to_string());
    query.bind(i64::from(limit)).fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// Up to `limit` orders, in no order, with `part` in their ids.
///
/// # Errors
/// When the database fails.
pub async fn find_ids_like(store: &Store, part: &str, limit: u32) -> Result<Vec<OrderId>, StoreError> {
    let query = sqlx::query_scalar(FIND_IDS_LIKE).bind(like_pattern(part)).bind(i64::from(limit));
    let ids: Vec<String> = query.fetch_all(store.reader()).await?;
    ids.into_iter().map(parse_order_id).collect()
}

/// The totals of a sale's orders, by status.
///
/// # Errors
/// When the database fails.
pub async fn totals_by_status(store: &Store, sale: SaleId) -> Result<Vec<StatusTotals>, StoreError> {
    let rows = sqlx::query(TOTALS_BY_STATUS).bind(sale.to_string()).fetch_all(store.reader()).await?;
    let totals = |row: &AnyRow| {
        Ok(StatusTotals {
            status: row.try_get("status")?,
            orders: row.try_get::<i64, _>("orders")?.unsigned_abs(),
            units: row.try_get::<i64, _>("units")?.unsigned_abs(),
            amount_minor: row.try_get("amount_minor")?,
            paid_minor: row.try_get("paid_minor")?,
        })
    };
    rows.iter().map(totals).collect()
}

/// How many orders of a sale were made at `since` or later.
///
/// # Errors
/// When the database fails.
pub async fn count_made_since(store: &Store, sale: SaleId, since: Timestamp) -> Result<u64, StoreError> {
    let count: i64 =
        sqlx::query_scalar(MADE_SINCE).bind(sale.to_string()).bind(since.0).fetch_one(store.reader()).await?;
    Ok(count.unsigned_abs())
}

fn read(row: &AnyRow) -> Result<OrderRow, StoreError> {
    let id: String = row.try_get("id")?;
    let damaged = |reason| StoreError::Damaged { table: "orders", id: id.clone(), reason };
    let text = |column| row.try_get::<String, _>(column);
    let until: Option<i64> = row.try_get("expires_at")?;
    let restocked = row.try_get::<i64, _>("restocked")? == 1;
    let status = match (text("status")?.as_str(), until) {
        ("pending", Some(until)) => {
            let paying_until = row.try_get::<Option<i64>, _>("paying_until")?.map(Timestamp);
            OrderStatus::Pending { until: Timestamp(until), paying_until }
        }
        ("confirmed", None) => OrderStatus::Confirmed,
        ("expired", None) => OrderStatus::Expired,
        ("cancelled", None) => OrderStatus::Cancelled,
        ("declined", None) => OrderStatus::Declined,
        ("refunded", None) => OrderStatus::Refunded { restocked },
        _ => return Err(damaged("its status is unknown")),
    };
    let minor = row.try_get("unit_price_minor")?;
    let currency = text("currency")?.parse().map_err(|_| damaged("its currency is not one"))?;
    Ok(OrderRow {
        sale: text("sale_id")?.parse().map_err(|_| damaged("its sale is not a UUID"))?,
        order: OrderView {
            id: id.parse().map_err(|_| damaged("its id is not a UUID"))?,
            buyer: text("buyer_id")?.parse().map_err(|_| damaged("its buyer is not a UUID"))?,
            quantity: u32::try_from(row.try_get::<i64, _>("quantity")?)
                .map_err(|_| damaged("its quantity is out of range"))?,
            made_at: Timestamp(row.try_get("made_at")?),
            changed_at: Timestamp(row.try_get("changed_at")?),
            status,
        },
        unit_price: Money { minor, currency },
        paid_at: row.try_get::<Option<i64>, _>("paid_at")?.map(Timestamp),
        made_seq: EventSeq(row.try_get::<i64, _>("made_seq")?.cast_unsigned()),
        seq: EventSeq(row.try_get::<i64, _>("seq")?.cast_unsigned()),
    })
}
