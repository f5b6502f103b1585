//! The `orders` table, as the projector writes it. It follows the ledger and may be behind it; nothing is decided by it.

use super::bulk::Bulk;
use super::{Store, StoreError, Writing};
use sale::{BuyerId, Money, OrderId, OrderStatus, OrderView, SaleId, Seq, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use std::sync::OnceLock;

/// One order's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// In which sale.
    pub sale: SaleId,
    /// The order.
    pub order: OrderView,
    /// The price of one unit, as promised when the order was made.
    pub unit_price: Money,
    /// When it was paid, if it was held before that.
    pub paid_at: Option<Timestamp>,
    /// The event that last changed it.
    pub seq: Seq,
}

/// Which orders are asked for. Filters that are `None` let everything pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Of one sale.
    pub sale: Option<SaleId>,
    /// Of one buyer.
    pub buyer: Option<BuyerId>,
    /// In one status: a word of [`OrderStatus::as_str`].
    pub status: Option<&'static str>,
    /// Made before this order, in the order of the listing.
    pub after: Option<(Timestamp, OrderId)>,
}

/// The sums of a sale's orders in one status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSum {
    /// The status.
    pub status: String,
    /// How many orders.
    pub orders: u64,
    /// Their units.
    pub units: u64,
    /// Their price, in minor units.
    pub amount_minor: i64,
}

pub(super) static UPSERT: Bulk = Bulk::new(
    "INSERT INTO orders (id, sale_id, buyer_id, quantity, unit_price_minor, currency, status, expires_at, restocked, \
     made_at, changed_at, paid_at, seq)",
    13,
    // What an order is made of does not change; who first tells of it, tells it.
    "ON CONFLICT (id) DO UPDATE SET \
     status = excluded.status, \
     expires_at = excluded.expires_at, \
     restocked = excluded.restocked, \
     changed_at = excluded.changed_at, \
     paid_at = COALESCE(excluded.paid_at, orders.paid_at), \
     seq = excluded.seq \
     WHERE excluded.seq > orders.seq",
);

pub(super) const STATEMENTS: &[&str] = &[DROP, SUMS, MADE_SINCE];

pub(super) const DROP: &str = "
DELETE FROM orders WHERE sale_id = $1";

const SUMS: &str = "
SELECT
    status,
    COUNT(*) AS orders,
    CAST(SUM(quantity) AS BIGINT) AS units,
    CAST(SUM(quantity * unit_price_minor) AS BIGINT) AS amount_minor
FROM orders
WHERE sale_id = $1
GROUP BY status
ORDER BY status";

const MADE_SINCE: &str = "
SELECT COUNT(*) FROM orders WHERE sale_id = $1 AND made_at >= $2";

/// Each combination of the filters has a text of its own, so that the database can plan it with the right index.
static LISTS: OnceLock<[String; 16]> = OnceLock::new();

pub(super) fn lists() -> &'static [String; 16] {
    LISTS.get_or_init(|| {
        std::array::from_fn(|filters| {
            let mut conditions = Vec::new();
            let mut parameters = 0;
            let mut next = || {
                parameters += 1;
                parameters
            };
            for (bit, column) in [(1, "sale_id"), (2, "buyer_id"), (4, "status")] {
                if filters & bit != 0 {
                    conditions.push(format!("{column} = ${}", next()));
                }
            }
            if filters & 8 != 0 {
                let (at, id) = (next(), next());
                conditions.push(format!("(made_at < ${at} OR (made_at = ${at} AND id < ${id}))"));
            }
            let conditions =
                if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
            format!(
                "SELECT id, sale_id, buyer_id, quantity, unit_price_minor, currency, status, expires_at, restocked, \
                 made_at, changed_at, paid_at, seq FROM orders{conditions} ORDER BY made_at DESC, id DESC LIMIT ${}",
                next()
            )
        })
    })
}

/// Writes orders as they are at their `seq`; a row that is newer stays. No order may be given twice.
///
/// # Errors
/// When the database fails.
pub async fn upsert(writing: &mut Writing, rows: &[OrderRow]) -> Result<(), StoreError> {
    let write = UPSERT.write(writing.on(), rows, |bound, row| {
        let until = match row.order.status {
            OrderStatus::Pending { until } => Some(until.0),
            _ => None,
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
            .bind(i64::from(restocked))
            .bind(row.order.made_at.0)
            .bind(row.order.changed_at.0)
            .bind(row.paid_at.map(|at| at.0))
            .bind(row.seq.0.cast_signed())
    });
    write.await
}

/// Up to `limit` orders, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(store: &Store, filter: Filter, limit: u32) -> Result<Vec<OrderRow>, StoreError> {
    let Filter { sale, buyer, status, after } = filter;
    let bit = |is_set: bool, bit: usize| if is_set { bit } else { 0 };
    let filters =
        bit(sale.is_some(), 1) + bit(buyer.is_some(), 2) + bit(status.is_some(), 4) + bit(after.is_some(), 8);
    let mut query = sqlx::query(AssertSqlSafe(lists()[filters].as_str()));
    let texts =
        [sale.map(|sale| sale.to_string()), buyer.map(|buyer| buyer.to_string()), status.map(str::to_owned)];
    for text in texts.into_iter().flatten() {
        query = query.bind(text);
    }
    if let Some((at, id)) = after {
        query = query.bind(at.0).bind(id.to_string());
    }
    query.bind(i64::from(limit)).fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// The sums of a sale's orders, by status.
///
/// # Errors
/// When the database fails.
pub async fn sums(store: &Store, sale: SaleId) -> Result<Vec<StatusSum>, StoreError> {
    let rows = sqlx::query(SUMS).bind(sale.to_string()).fetch_all(store.reader()).await?;
    let sum = |row: &AnyRow| {
        Ok(StatusSum {
            status: row.try_get("status")?,
            orders: row.try_get::<i64, _>("orders")?.unsigned_abs(),
            units: row.try_get::<i64, _>("units")?.unsigned_abs(),
            amount_minor: row.try_get("amount_minor")?,
        })
    };
    rows.iter().map(sum).collect()
}

/// How many orders of a sale were made at `since` or later.
///
/// # Errors
/// When the database fails.
pub async fn made_since(store: &Store, sale: SaleId, since: Timestamp) -> Result<u64, StoreError> {
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
        ("pending", Some(until)) => OrderStatus::Pending { until: Timestamp(until) },
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
        seq: Seq(row.try_get::<i64, _>("seq")?.cast_unsigned()),
    })
}
