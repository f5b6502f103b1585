//! The tables of what happened when: `sale_series`, as the projector writes it from the ledger, and `sale_refusals`, as it is
//! written with the attempts. Both have rows of a second, a minute and an hour, so that a query for a day reads no rows of a second.
//! A second without events has no row. No decision reads these tables.

use super::attempts::{ACCEPTED, AttemptRow};
use super::bulk_insert::BulkInsert;
use super::{Store, StoreError, StoreTransaction};
use sale::{EventSeq, SaleCounters, SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::collections::BTreeMap;

/// The lengths of rows, in seconds. A range is read from the longest that its step is made of.
pub const STEPS_S: [i64; 3] = [1, 60, 3600];
const SECOND_MS: i64 = 1000;

/// How often something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Places in line that were taken.
    pub joined: u64,
    /// Buyers who were admitted.
    pub admitted: u64,
    /// Places, or admissions, that were given back.
    pub left: u64,
    /// Admissions that ran out.
    pub lapsed: u64,
    /// Orders that were made.
    pub ordered: u64,
    /// Orders that were paid, or sold at once.
    pub confirmed: u64,
    /// Orders whose hold ran out.
    pub expired: u64,
    /// Orders that were given back.
    pub cancelled: u64,
    /// Orders whose payment was declined.
    pub declined: u64,
    /// Orders whose money went back.
    pub refunded: u64,
}

/// Where the units of a sale are, and how many wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitLevels {
    pub available: u32,
    /// Set aside for those who are admitted.
    pub admitted: u32,
    /// In orders that wait for their payment.
    pub held: u32,
    pub sold: u32,
    pub waiting: u32,
}

/// One bucket of a sale's series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesRow {
    /// How long it is: one of [`STEPS_S`].
    pub step_s: i64,
    pub at: Timestamp,
    /// What happened in it.
    pub counts: EventCounts,
    /// Units and waiting buyers after it.
    pub units: UnitLevels,
    pub seq: EventSeq,
}

/// A range of time that is cut into pieces. Its ends are multiples of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesRange {
    pub from: Timestamp,
    /// The end, which is outside.
    pub to: Timestamp,
    /// The length of a piece: below 60 any, below 3600 a multiple of 60, else of 3600.
    pub step_s: i64,
}

/// One piece of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesBucket {
    pub at: Timestamp,
    /// What happened in it.
    pub counts: EventCounts,
    /// Attempts that were refused in it.
    pub refused: u64,
    /// Units and waiting buyers after it; `None` when only attempts were refused in it.
    pub units: Option<UnitLevels>,
}

impl From<SaleCounters> for UnitLevels {
    fn from(counters: SaleCounters) -> Self {
        let SaleCounters { available, admitted, held, sold, waiting, .. } = counters;
        Self { available, admitted, held, sold, waiting }
    }
}

impl SeriesRange {
    fn source_step_s(&self) -> i64 {
        let fits = |step: &i64| self.step_s % step == 0;
        STEPS_S.into_iter().rfind(fits).unwrap_or(1)
    }
}

/// The start of the bucket of `step_s` seconds that contains a moment.
#[must_use]
pub fn bucket_start(at: Timestamp, step_s: i64) -> Timestamp {
    let step_ms = step_s * SECOND_MS;
    Timestamp(at.0.div_euclid(step_ms) * step_ms)
}

pub(super) static UPSERT: BulkInsert = BulkInsert::new(
    "INSERT INTO sale_series (sale_id, step_s, at, joined, admitted, left_line, lapsed, ordered, confirmed, expired, cancelled, \
     declined, refunded, units_available, units_admitted, units_held, units_sold, waiting, seq)",
    19,
    "ON CONFLICT (sale_id, step_s, at) DO UPDATE SET \
     joined = sale_series.joined + excluded.joined, \
     admitted = sale_series.admitted + excluded.admitted, \
     left_line = sale_series.left_line + excluded.left_line, \
     lapsed = sale_series.lapsed + excluded.lapsed, \
     ordered = sale_series.ordered + excluded.ordered, \
     confirmed = sale_series.confirmed + excluded.confirmed, \
     expired = sale_series.expired + excluded.expired, \
     cancelled = sale_series.cancelled + excluded.cancelled, \
     declined = sale_series.declined + excluded.declined, \
     refunded = sale_series.refunded + excluded.refunded, \
     units_available = excluded.units_available, \
     units_admitted = excluded.units_admitted, \
     units_held = excluded.units_held, \
     units_sold = excluded.units_sold, \
     waiting = excluded.waiting, \
     seq = excluded.seq \
     WHERE excluded.seq > sale_series.seq",
);

pub(super) static COUNT_REFUSALS: BulkInsert = BulkInsert::new(
    "INSERT INTO sale_refusals (sale_id, step_s, at, code, count)",
    5,
    "ON CONFLICT (sale_id, step_s, at, code) DO UPDATE SET count = sale_refusals.count + excluded.count",
);

pub(super) const STATEMENTS: &[&str] = &[DROP, BUCKETS, REFUSED, UNITS_BEFORE, LAST, REFUSALS];

pub(super) const DROP: &str = "
DELETE FROM sale_series WHERE sale_id = $1";

const BUCKETS: &str = "
SELECT
    start, joined_sum, admitted_sum, left_sum, lapsed_sum, ordered_sum, confirmed_sum,
    expired_sum, cancelled_sum, declined_sum, refunded_sum,
    units_available, units_admitted, units_held, units_sold, waiting
FROM (
    SELECT
        at / $1 * $1 AS start,
        MAX(at) AS last_at,
        CAST(SUM(joined) AS BIGINT) AS joined_sum,
        CAST(SUM(admitted) AS BIGINT) AS admitted_sum,
        CAST(SUM(left_line) AS BIGINT) AS left_sum,
        CAST(SUM(lapsed) AS BIGINT) AS lapsed_sum,
        CAST(SUM(ordered) AS BIGINT) AS ordered_sum,
        CAST(SUM(confirmed) AS BIGINT) AS confirmed_sum,
        CAST(SUM(expired) AS BIGINT) AS expired_sum,
        CAST(SUM(cancelled) AS BIGINT) AS cancelled_sum,
        CAST(SUM(declined) AS BIGINT) AS declined_sum,
        CAST(SUM(refunded) AS BIGINT) AS refunded_sum
    FROM sale_series
    WHERE sale_id = $2 AND step_s = $3 AND at >= $4 AND at < $5
    GROUP BY 1
) AS pieces
JOIN sale_series ON sale_id = $2 AND step_s = $3 AND at = last_at
ORDER BY start";

const REFUSED: &str = "
SELECT at / $1 * $1 AS start, CAST(SUM(count) AS BIGINT) AS refused
FROM sale_refusals
WHERE sale_id = $2 AND step_s = $3 AND at >= $4 AND at < $5
GROUP BY 1
ORDER BY 1";

const UNITS_BEFORE: &str = "
SELECT units_available, units_admitted, units_held, units_sold, waiting
FROM sale_series
WHERE sale_id = $1 AND step_s = $2 AND at < $3
ORDER BY at DESC
LIMIT 1";

const LAST: &str = "
SELECT MAX(at) FROM sale_series WHERE sale_id = $1 AND step_s = 1";

const REFUSALS: &str = "
SELECT code, CAST(SUM(count) AS BIGINT) AS refused
FROM sale_refusals
WHERE sale_id = $1 AND step_s = 3600
GROUP BY code
ORDER BY code";

/// Adds rows to those in the table; a row that is newer stays as it is. `rows` may contain each bucket only once.
///
/// # Errors
/// When the database fails.
pub async fn add_rows(
    writing: &mut StoreTransaction,
    sale: SaleId,
    rows: &[SeriesRow],
) -> Result<(), StoreError> {
    let sale = sale.to_string();
    let write = UPSERT.insert_rows(writing, rows, |bound, row| {
        let EventCounts { joined, admitted, left, lapsed, ordered, confirmed, .. } = row.counts;
        let EventCounts { expired, cancelled, declined, refunded, .. } = row.counts;
        let UnitLevels { available, admitted: set_aside, held, sold, waiting } = row.units;
        let counts =
            [joined, admitted, left, lapsed, ordered, confirmed, expired, cancelled, declined, refunded];
        let bound = bound.bind(sale.as_str()).bind(row.step_s).bind(row.at.0);
        let bound = counts.into_iter().fold(bound, |bound, count| bound.bind(count.cast_signed()));
        let units = [available, set_aside, held, sold, waiting];
        let bound = units.into_iter().fold(bound, |bound, units| bound.bind(i64::from(units)));
        bound.bind(row.seq.0.cast_signed())
    });
    write.await
}

/// Counts refused attempts. The caller inserts the attempts in the same transaction.
///
/// # Errors
/// When the database fails.
pub async fn count_refusals(
    writing: &mut StoreTransaction,
    attempts: &[AttemptRow],
) -> Result<(), StoreError> {
    let mut counts: BTreeMap<(SaleId, i64, Timestamp, &str), u64> = BTreeMap::new();
    for attempt in attempts.iter().filter(|attempt| attempt.code != ACCEPTED) {
        for step_s in STEPS_S {
            let key = (attempt.sale, step_s, bucket_start(attempt.at, step_s), &*attempt.code);
            *counts.entry(key).or_default() += attempt.count;
        }
    }
    let rows: Vec<_> = counts.into_iter().collect();
    let write = COUNT_REFUSALS.insert_rows(writing, &rows, |bound, ((sale, step_s, at, code), count)| {
        bound
            .bind(sale.to_string())
            .bind(*step_s)
            .bind(at.0)
            .bind((*code).to_owned())
            .bind(count.cast_signed())
    });
    write.await
}

/// What happened in a range, piece by piece. A piece in which nothing happened is left out.
///
/// # Errors
/// When the database fails, or a row is damaged.
pub async fn list_buckets(
    store: &Store,
    sale: SaleId,
    range: SeriesRange,
) -> Result<Vec<SeriesBucket>, StoreError> {
    let id = sale.to_string();
    let query = |text| {
        sqlx::query(text)
            .bind(range.step_s * SECOND_MS)
            .bind(id.clone())
            .bind(range.source_step_s())
            .bind(range.from.0)
            .bind(range.to.0)
    };
    let mut pieces = BTreeMap::new();
    for row in query(BUCKETS).fetch_all(store.reader()).await? {
        let at = Timestamp(row.try_get("start")?);
        let units = Some(read_units(&row, sale)?);
        pieces.insert(at, SeriesBucket { at, counts: read_counts(&row)?, refused: 0, units });
    }
    for row in query(REFUSED).fetch_all(store.reader()).await? {
        let at = Timestamp(row.try_get("start")?);
        let none = SeriesBucket { at, counts: EventCounts::default(), refused: 0, units: None };
        pieces.entry(at).or_insert(none).refused = row.try_get::<i64, _>("refused")?.unsigned_abs();
    }
    Ok(pieces.into_values().collect())
}

/// Units and waiting buyers when a range began; `None` when nothing had happened before it.
///
/// # Errors
/// When the database fails, or a row is damaged.
pub async fn find_units_before(
    store: &Store,
    sale: SaleId,
    range: SeriesRange,
) -> Result<Option<UnitLevels>, StoreError> {
    let query =
        sqlx::query(UNITS_BEFORE).bind(sale.to_string()).bind(range.source_step_s()).bind(range.from.0);
    query.fetch_optional(store.reader()).await?.map(|row| read_units(&row, sale)).transpose()
}

/// The beginning of the last second in which something was projected.
///
/// # Errors
/// When the database fails.
pub async fn find_last_second(store: &Store, sale: SaleId) -> Result<Option<Timestamp>, StoreError> {
    let at: Option<i64> = sqlx::query_scalar(LAST).bind(sale.to_string()).fetch_one(store.reader()).await?;
    Ok(at.map(Timestamp))
}

/// How many attempts at a sale were refused, by code.
///
/// # Errors
/// When the database fails.
pub async fn count_refusals_by_code(store: &Store, sale: SaleId) -> Result<Vec<(String, u64)>, StoreError> {
    let rows = sqlx::query(REFUSALS).bind(sale.to_string()).fetch_all(store.reader()).await?;
    rows.iter()
        .map(|row| Ok((row.try_get("code")?, row.try_get::<i64, _>("refused")?.unsigned_abs())))
        .collect()
}

/// The event counts of a row that has the `_sum` columns.
pub(super) fn read_counts(row: &AnyRow) -> Result<EventCounts, StoreError> {
    let count = |column| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    Ok(EventCounts {
        joined: count("joined_sum")?,
        admitted: count("admitted_sum")?,
        left: count("left_sum")?,
        lapsed: count("lapsed_sum")?,
        ordered: count("ordered_sum")?,
        confirmed: count("confirmed_sum")?,
        expired: count("expired_sum")?,
        cancelled: count("cancelled_sum")?,
        declined: count("declined_sum")?,
        refunded: count("refunded_sum")?,
    })
}

fn read_units(row: &AnyRow, sale: SaleId) -> Result<UnitLevels, StoreError> {
    let units = |column| {
        u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_| StoreError::Damaged {
            table: "sale_series",
            id: sale.to_string(),
            reason: "a counter is out of range",
        })
    };
    Ok(UnitLevels {
        available: units("units_available")?,
        admitted: units("units_admitted")?,
        held: units("units_held")?,
        sold: units("units_sold")?,
        waiting: units("waiting")?,
    })
}
