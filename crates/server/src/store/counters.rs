//! The `sale_counters` table: a sale's counters and policy at one event, as the projector writes them. The database checks that the
//! counters add up.

use super::{Store, StoreError, StoreTransaction};
use sale::{AdmissionMode, EventSeq, Money, Policy, SaleCounters, SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

/// A sale at one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountersRow {
    pub seq: EventSeq,
    /// Where the units are, and how many wait.
    pub counters: SaleCounters,
    /// What is promised; its quantity includes restocked units.
    pub policy: Policy,
    /// Since when the sale is paused.
    pub paused_at: Option<Timestamp>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// When no unit was free for the first time.
    pub taken_at: Option<Timestamp>,
    /// When all units were sold for the first time.
    pub sold_out_at: Option<Timestamp>,
}

pub(super) const STATEMENTS: &[&str] = &[UPSERT, FIND, DROP];

const UPSERT: &str = "
INSERT INTO sale_counters (
    sale_id, seq, quantity, available, admitted, held, sold, waiting, short,
    unit_price_minor, currency, starts_at, ends_at, limit_per_buyer, hold_s,
    admission, per_second, checkout_s, line_opens_s, extension_s, paused_at, closed_at, taken_at, sold_out_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
ON CONFLICT (sale_id) DO UPDATE SET
    seq = excluded.seq,
    quantity = excluded.quantity,
    available = excluded.available,
    admitted = excluded.admitted,
    held = excluded.held,
    sold = excluded.sold,
    waiting = excluded.waiting,
    short = excluded.short,
    unit_price_minor = excluded.unit_price_minor,
    currency = excluded.currency,
    starts_at = excluded.starts_at,
    ends_at = excluded.ends_at,
    limit_per_buyer = excluded.limit_per_buyer,
    hold_s = excluded.hold_s,
    admission = excluded.admission,
    per_second = excluded.per_second,
    checkout_s = excluded.checkout_s,
    line_opens_s = excluded.line_opens_s,
    extension_s = excluded.extension_s,
    paused_at = excluded.paused_at,
    closed_at = excluded.closed_at,
    taken_at = excluded.taken_at,
    sold_out_at = excluded.sold_out_at
WHERE excluded.seq > sale_counters.seq";

const FIND: &str = "
SELECT
    seq, quantity, available, admitted, held, sold, waiting, short,
    unit_price_minor, currency, starts_at, ends_at, limit_per_buyer, hold_s,
    admission, per_second, checkout_s, line_opens_s, extension_s, paused_at, closed_at, taken_at, sold_out_at
FROM sale_counters
WHERE sale_id = $1";

pub(super) const DROP: &str = "
DELETE FROM sale_counters WHERE sale_id = $1";

/// Writes a sale as it is at its `seq`; a row that is newer stays.
///
/// # Errors
/// When the database fails, or the counters do not add up.
pub async fn upsert(
    writing: &mut StoreTransaction,
    sale: SaleId,
    row: &CountersRow,
) -> Result<(), StoreError> {
    let CountersRow { seq, counters, policy, paused_at, closed_at, taken_at, sold_out_at } = row;
    let (admission, [per_second, checkout_s, line_opens_s, extension_s]) = match policy.admission {
        AdmissionMode::Open => ("open", [None; 4]),
        AdmissionMode::Fifo { per_second, checkout_s, line_opens_s, extension_s } => {
            let settings = [per_second, checkout_s, line_opens_s, extension_s];
            ("fifo", settings.map(|setting| Some(i64::from(setting))))
        }
    };
    sqlx::query(UPSERT)
        .bind(sale.to_string())
        .bind(seq.0.cast_signed())
        .bind(i64::from(counters.quantity))
        .bind(i64::from(counters.available))
        .bind(i64::from(counters.admitted))
        .bind(i64::from(counters.held))
        .bind(i64::from(counters.sold))
        .bind(i64::from(counters.waiting))
        .bind(i64::from(counters.short))
        .bind(policy.unit_price.minor)
        .bind(policy.unit_price.currency.as_str())
        .bind(policy.starts_at.0)
        .bind(policy.ends_at.0)
        .bind(i64::from(policy.limit_per_buyer))
        .bind(i64::from(policy.hold_s))
        .bind(admission)
        .bind(per_second)
        .bind(checkout_s)
        .bind(line_opens_s)
        .bind(extension_s)
        .bind(paused_at.map(|at| at.0))
        .bind(closed_at.map(|at| at.0))
        .bind(taken_at.map(|at| at.0))
        .bind(sold_out_at.map(|at| at.0))
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// A sale as it was last projected.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, sale: SaleId) -> Result<Option<CountersRow>, StoreError> {
    let row = sqlx::query(FIND).bind(sale.to_string()).fetch_optional(store.reader()).await?;
    row.map(|row| read(&row, sale)).transpose()
}

fn read(row: &AnyRow, sale: SaleId) -> Result<CountersRow, StoreError> {
    let damaged = |reason| StoreError::Damaged { table: "sale_counters", id: sale.to_string(), reason };
    let value = |column| read_u32(row, sale, column);
    let moment = |column| row.try_get::<Option<i64>, _>(column).map(|at| at.map(Timestamp));
    let admission = match row.try_get::<String, _>("admission")?.as_str() {
        "open" => AdmissionMode::Open,
        "fifo" => AdmissionMode::Fifo {
            per_second: value("per_second")?,
            checkout_s: value("checkout_s")?,
            line_opens_s: value("line_opens_s")?,
            // Rows from before there were extensions have none.
            extension_s: match row.try_get::<Option<i64>, _>("extension_s")? {
                Some(_) => value("extension_s")?,
                None => 0,
            },
        },
        _ => return Err(damaged("its admission is unknown")),
    };
    let currency: String = row.try_get("currency")?;
    let currency = currency.parse().map_err(|_| damaged("its currency is not one"))?;
    Ok(CountersRow {
        seq: EventSeq(row.try_get::<i64, _>("seq")?.cast_unsigned()),
        counters: read_counters(row, sale)?,
        policy: Policy {
            quantity: value("quantity")?,
            unit_price: Money { minor: row.try_get("unit_price_minor")?, currency },
            starts_at: Timestamp(row.try_get("starts_at")?),
            ends_at: Timestamp(row.try_get("ends_at")?),
            limit_per_buyer: value("limit_per_buyer")?,
            hold_s: value("hold_s")?,
            admission,
        },
        paused_at: moment("paused_at")?,
        closed_at: moment("closed_at")?,
        taken_at: moment("taken_at")?,
        sold_out_at: moment("sold_out_at")?,
    })
}

/// Where a sale's units are, from a row that has these columns.
pub(super) fn read_counters(row: &AnyRow, sale: SaleId) -> Result<SaleCounters, StoreError> {
    let value = |column| read_u32(row, sale, column);
    Ok(SaleCounters {
        quantity: value("quantity")?,
        available: value("available")?,
        admitted: value("admitted")?,
        held: value("held")?,
        sold: value("sold")?,
        waiting: value("waiting")?,
        short: value("short")?,
    })
}

fn read_u32(row: &AnyRow, sale: SaleId, column: &str) -> Result<u32, StoreError> {
    u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_| StoreError::Damaged {
        table: "sale_counters",
        id: sale.to_string(),
        reason: "a counter is out of range",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_database_refuses_counters_that_do_not_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let sale: SaleId = "0190f3a4-0000-7000-8000-000000000000".parse().unwrap();
        let policy = Policy {
            quantity: 5,
            unit_price: Money { minor: 1, currency: "EUR".parse().unwrap() },
            starts_at: Timestamp(1),
            ends_at: Timestamp(2),
            limit_per_buyer: 1,
            hold_s: 0,
            admission: AdmissionMode::Fifo { per_second: 1, checkout_s: 2, line_opens_s: 3, extension_s: 4 },
        };
        let counters = SaleCounters { quantity: 5, available: 2, held: 3, ..SaleCounters::default() };
        let row = CountersRow {
            seq: EventSeq(7),
            counters,
            policy,
            paused_at: None,
            closed_at: Some(Timestamp(9)),
            taken_at: Some(Timestamp(8)),
            sold_out_at: None,
        };
        let lost = SaleCounters { available: 1, ..counters };
        let mut writing = store.begin().await.unwrap();
        assert!(upsert(&mut writing, sale, &CountersRow { counters: lost, ..row.clone() }).await.is_err());
        drop(writing);
        let mut writing = store.begin().await.unwrap();
        upsert(&mut writing, sale, &row).await.unwrap();
        let older = CountersRow { seq: EventSeq(6), closed_at: None, ..row.clone() };
        upsert(&mut writing, sale, &older).await.unwrap();
        writing.commit().await.unwrap();
        assert_eq!(find(&store, sale).await.unwrap(), Some(row), "what is older changes nothing");
    }
}
