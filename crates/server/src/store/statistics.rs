//! A sale's statistics: totals, peaks and durations. Each statement reads all rows of the sale, so callers cache the result.
//! It never writes.

use super::series::{self, EventCounts};
use super::{Store, StoreError};
use sale::{SaleId, Timestamp};
use sqlx::Row;

/// A sale's statistics, as far as the projector has written the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaleStatistics {
    /// How often each kind of event happened.
    pub totals: EventCounts,
    /// Buyers who own a unit.
    pub buyers: u64,
    /// The first and the last second in which a buyer did something, or something happened to one; refunds apart.
    pub activity: Option<(Timestamp, Timestamp)>,
    /// The second in which most buyers joined the line.
    pub joins_peak: Option<PeakSecond>,
    /// The second in which most orders were made.
    pub orders_peak: Option<PeakSecond>,
    /// From joining the line to being admitted.
    pub wait: Option<DurationStats>,
    /// From being admitted to the order.
    pub checkout: Option<DurationStats>,
    /// From the order to its payment, where it was held.
    pub payment: Option<DurationStats>,
    /// Buyers who were admitted later than one with a later ticket.
    pub out_of_order: u64,
    /// When no unit was free for the first time.
    pub taken_at: Option<Timestamp>,
    /// When all units were sold for the first time.
    pub sold_out_at: Option<Timestamp>,
}

/// The busiest second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeakSecond {
    pub at: Timestamp,
    pub count: u64,
}

/// Exact percentiles of `count` durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationStats {
    pub count: u64,
    pub p50_ms: i64,
    /// What 95 of 100 did not exceed.
    pub p95_ms: i64,
}

pub(super) const STATEMENTS: &[&str] =
    &[TOTALS, BUYERS, ACTIVITY, JOINS_PEAK, ORDERS_PEAK, WAIT, CHECKOUT, PAYMENT, OUT_OF_ORDER, FIRSTS];

const TOTALS: &str = "
SELECT
    CAST(COALESCE(SUM(joined), 0) AS BIGINT) AS joined_sum,
    CAST(COALESCE(SUM(admitted), 0) AS BIGINT) AS admitted_sum,
    CAST(COALESCE(SUM(left_line), 0) AS BIGINT) AS left_sum,
    CAST(COALESCE(SUM(lapsed), 0) AS BIGINT) AS lapsed_sum,
    CAST(COALESCE(SUM(ordered), 0) AS BIGINT) AS ordered_sum,
    CAST(COALESCE(SUM(confirmed), 0) AS BIGINT) AS confirmed_sum,
    CAST(COALESCE(SUM(expired), 0) AS BIGINT) AS expired_sum,
    CAST(COALESCE(SUM(cancelled), 0) AS BIGINT) AS cancelled_sum,
    CAST(COALESCE(SUM(declined), 0) AS BIGINT) AS declined_sum,
    CAST(COALESCE(SUM(refunded), 0) AS BIGINT) AS refunded_sum
FROM sale_series
WHERE sale_id = $1 AND step_s = 3600";

const BUYERS: &str = "
SELECT COUNT(DISTINCT buyer_id) FROM orders WHERE sale_id = $1 AND status = 'confirmed'";

/// From both ends, where it is found soon.
const ACTIVITY: &str = "
SELECT
    (
        SELECT at FROM sale_series
        WHERE sale_id = $1 AND step_s = 1
            AND joined + admitted + left_line + lapsed + ordered + confirmed + expired + cancelled + declined > 0
        ORDER BY at LIMIT 1
    ) AS first_at,
    (
        SELECT at FROM sale_series
        WHERE sale_id = $1 AND step_s = 1
            AND joined + admitted + left_line + lapsed + ordered + confirmed + expired + cancelled + declined > 0
        ORDER BY at DESC LIMIT 1
    ) AS last_at";

const JOINS_PEAK: &str = "
SELECT at, joined AS peak
FROM sale_series
WHERE sale_id = $1 AND step_s = 1 AND joined > 0
ORDER BY joined DESC, at
LIMIT 1";

const ORDERS_PEAK: &str = "
SELECT at, ordered AS peak
FROM sale_series
WHERE sale_id = $1 AND step_s = 1 AND ordered > 0
ORDER BY ordered DESC, at
LIMIT 1";

/// The percentiles of what `spans` selects as `ms`: the smallest that so many of a hundred do not exceed.
macro_rules! percentiles {
    ($spans:literal) => {
        concat!(
            "
SELECT
    COUNT(*) AS spans,
    MIN(CASE WHEN place * 100 >= spans * 50 THEN ms END) AS p50,
    MIN(CASE WHEN place * 100 >= spans * 95 THEN ms END) AS p95
FROM (
    SELECT ms, ROW_NUMBER() OVER (ORDER BY ms) AS place, COUNT(*) OVER () AS spans
    FROM (",
            $spans,
            ") AS measured
) AS ranked"
        )
    };
}

const WAIT: &str = percentiles!(
    "SELECT admitted_at - joined_at AS ms FROM queue_entries WHERE sale_id = $1 AND admitted_at IS NOT NULL"
);

const CHECKOUT: &str = percentiles!(
    "SELECT changed_at - admitted_at AS ms FROM queue_entries
    WHERE sale_id = $1 AND status = 'served' AND admitted_at IS NOT NULL"
);

const PAYMENT: &str =
    percentiles!("SELECT paid_at - made_at AS ms FROM orders WHERE sale_id = $1 AND paid_at IS NOT NULL");

const OUT_OF_ORDER: &str = "
SELECT COUNT(*)
FROM (
    SELECT
        admitted_at,
        MAX(admitted_at) OVER (ORDER BY ticket ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_at
    FROM queue_entries
    WHERE sale_id = $1 AND admitted_at IS NOT NULL
) AS in_line
WHERE admitted_at < before_at";

const FIRSTS: &str = "
SELECT taken_at, sold_out_at FROM sale_counters WHERE sale_id = $1";

/// Reads all of it.
///
/// # Errors
/// When the database fails.
pub async fn load_statistics(store: &Store, sale: SaleId) -> Result<SaleStatistics, StoreError> {
    let id = sale.to_string();
    let query = |text| sqlx::query(text).bind(id.clone());
    let totals = series::read_counts(&query(TOTALS).fetch_one(store.reader()).await?)?;
    let count = |text| sqlx::query_scalar::<_, i64>(text).bind(id.clone());
    let buyers = count(BUYERS).fetch_one(store.reader()).await?.unsigned_abs();
    let out_of_order = count(OUT_OF_ORDER).fetch_one(store.reader()).await?.unsigned_abs();
    let row = query(ACTIVITY).fetch_one(store.reader()).await?;
    let ends: [Option<i64>; 2] = [row.try_get("first_at")?, row.try_get("last_at")?];
    let activity = match ends {
        [Some(first), Some(last)] => Some((Timestamp(first), Timestamp(last))),
        _ => None,
    };
    let (mut taken_at, mut sold_out_at) = (None, None);
    if let Some(row) = query(FIRSTS).fetch_optional(store.reader()).await? {
        taken_at = row.try_get::<Option<i64>, _>("taken_at")?.map(Timestamp);
        sold_out_at = row.try_get::<Option<i64>, _>("sold_out_at")?.map(Timestamp);
    }
    Ok(SaleStatistics {
        totals,
        buyers,
        activity,
        joins_peak: load_peak(store, &id, JOINS_PEAK).await?,
        orders_peak: load_peak(store, &id, ORDERS_PEAK).await?,
        wait: load_durations(store, &id, WAIT).await?,
        checkout: load_durations(store, &id, CHECKOUT).await?,
        payment: load_durations(store, &id, PAYMENT).await?,
        out_of_order,
        taken_at,
        sold_out_at,
    })
}

async fn load_peak(store: &Store, sale: &str, text: &'static str) -> Result<Option<PeakSecond>, StoreError> {
    let row = sqlx::query(text).bind(sale.to_owned()).fetch_optional(store.reader()).await?;
    let read = |row: sqlx::any::AnyRow| {
        let count = row.try_get::<i64, _>("peak")?.unsigned_abs();
        Ok(PeakSecond { at: Timestamp(row.try_get("at")?), count })
    };
    row.map(read).transpose()
}

async fn load_durations(
    store: &Store,
    sale: &str,
    text: &'static str,
) -> Result<Option<DurationStats>, StoreError> {
    let row = sqlx::query(text).bind(sale.to_owned()).fetch_one(store.reader()).await?;
    let percentiles: [Option<i64>; 2] = [row.try_get("p50")?, row.try_get("p95")?];
    let [Some(p50_ms), Some(p95_ms)] = percentiles else { return Ok(None) };
    Ok(Some(DurationStats { count: row.try_get::<i64, _>("spans")?.unsigned_abs(), p50_ms, p95_ms }))
}
