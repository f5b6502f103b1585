//! The `queue_entries` table, as the projector writes it: every buyer who was ever in a line, and the outcome.
//! The current position of a buyer comes from the engine, never from this table.

use super::bulk_insert::BulkInsert;
use super::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, EventSeq, SaleId, Ticket, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::collections::HashMap;
use std::sync::OnceLock;

/// One entry of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRow {
    pub ticket: Ticket,
    pub buyer: BuyerId,
    /// What has become of it.
    pub status: QueueEntryStatus,
    /// When the number was given.
    pub joined_at: Timestamp,
    /// When the buyer was admitted, if ever.
    pub admitted_at: Option<Timestamp>,
    /// When the status last changed.
    pub changed_at: Timestamp,
    /// The event that last changed it.
    pub seq: EventSeq,
}

/// What has become of a place in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueEntryStatus {
    Waiting,
    Admitted {
        until: Timestamp,
    },
    /// Used the admission for an order.
    Served,
    /// Let the admission run out.
    Lapsed,
    /// Gave the place back.
    Left,
}

impl QueueEntryStatus {
    /// The word of the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Admitted { .. } => "admitted",
            Self::Served => "served",
            Self::Lapsed => "lapsed",
            Self::Left => "left",
        }
    }
}

pub(super) static UPSERT: BulkInsert = BulkInsert::new(
    "INSERT INTO queue_entries (sale_id, ticket, buyer_id, status, admitted_until, joined_at, admitted_at, changed_at, seq)",
    9,
    "ON CONFLICT (sale_id, ticket) DO UPDATE SET \
     status = excluded.status, \
     admitted_until = excluded.admitted_until, \
     admitted_at = COALESCE(excluded.admitted_at, queue_entries.admitted_at), \
     changed_at = excluded.changed_at, \
     seq = excluded.seq \
     WHERE excluded.seq > queue_entries.seq",
);

pub(super) const STATEMENTS: &[&str] = &[DROP, EXTEND, LIST, FIND_NEWEST, COUNT_LAPSED];

pub(super) const DROP: &str = "
DELETE FROM queue_entries WHERE sale_id = $1";

const EXTEND: &str = "
UPDATE queue_entries SET admitted_until = admitted_until + $1 WHERE sale_id = $2 AND status = 'admitted'";

const LIST: &str = "
SELECT ticket, buyer_id, status, admitted_until, joined_at, admitted_at, changed_at, seq
FROM queue_entries
WHERE sale_id = $1 AND ticket > $2
ORDER BY ticket
LIMIT $3";

const FIND_NEWEST: &str = "
SELECT ticket, buyer_id, status, admitted_until, joined_at, admitted_at, changed_at, seq
FROM queue_entries
WHERE sale_id = $1 AND buyer_id = $2
ORDER BY ticket DESC
LIMIT 1";

const COUNT_LAPSED: &str = "
SELECT COUNT(*) FROM queue_entries WHERE sale_id = $1 AND status = 'lapsed'";

/// Writes entries as they are at their `seq`; a row that is newer stays. No ticket may be given twice.
///
/// # Errors
/// When the database fails.
pub async fn upsert(
    writing: &mut StoreTransaction,
    sale: SaleId,
    rows: &[QueueRow],
) -> Result<(), StoreError> {
    let sale = sale.to_string();
    let write = UPSERT.insert_rows(writing, rows, |bound, row| {
        let until = match row.status {
            QueueEntryStatus::Admitted { until } => Some(until.0),
            _ => None,
        };
        bound
            .bind(sale.as_str())
            .bind(i64::from(row.ticket.0))
            .bind(row.buyer.to_string())
            .bind(row.status.as_str())
            .bind(until)
            .bind(row.joined_at.0)
            .bind(row.admitted_at.map(|at| at.0))
            .bind(row.changed_at.0)
            .bind(row.seq.0.cast_signed())
    });
    write.await
}

/// Gives everyone who is admitted `ms` more: the time that a pause took from them.
///
/// # Errors
/// When the database fails.
pub async fn extend_admissions(
    writing: &mut StoreTransaction,
    sale: SaleId,
    ms: i64,
) -> Result<(), StoreError> {
    sqlx::query(EXTEND).bind(ms).bind(sale.to_string()).execute(writing.connection()).await?;
    Ok(())
}

/// Up to `limit` entries of a sale, in ticket order, from the first after `after` on.
///
/// # Errors
/// When the database fails.
pub async fn list_entries(
    store: &Store,
    sale: SaleId,
    after: Ticket,
    limit: u32,
) -> Result<Vec<QueueRow>, StoreError> {
    let query = sqlx::query(LIST).bind(sale.to_string()).bind(i64::from(after.0)).bind(i64::from(limit));
    query.fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// A buyer's newest entry in a line; `None` for a buyer who never was in it.
///
/// # Errors
/// When the database fails.
pub async fn find_newest(
    store: &Store,
    sale: SaleId,
    buyer: BuyerId,
) -> Result<Option<QueueRow>, StoreError> {
    let query = sqlx::query(FIND_NEWEST).bind(sale.to_string()).bind(buyer.to_string());
    query.fetch_optional(store.reader()).await?.as_ref().map(read).transpose()
}

/// Tickets a statement; a question for fewer repeats its last one.
const TICKETS: usize = 50;

static FIND_JOINED: OnceLock<String> = OnceLock::new();

/// The statement that finds when tickets were given.
pub(super) fn find_joined_statement() -> &'static str {
    FIND_JOINED.get_or_init(|| {
        let tickets: Vec<String> = (2..=TICKETS + 1).map(|n| format!("${n}")).collect();
        format!(
            "SELECT ticket, joined_at FROM queue_entries WHERE sale_id = $1 AND ticket IN ({})",
            tickets.join(", ")
        )
    })
}

/// When tickets of a sale were given, as far as the table has them.
///
/// # Errors
/// When the database fails.
pub async fn find_joined(
    store: &Store,
    sale: SaleId,
    tickets: &[Ticket],
) -> Result<HashMap<Ticket, Timestamp>, StoreError> {
    let mut joined = HashMap::with_capacity(tickets.len());
    for tickets in tickets.chunks(TICKETS) {
        let mut query = sqlx::query(find_joined_statement()).bind(sale.to_string());
        for n in 0..TICKETS {
            query = query.bind(tickets.get(n).or(tickets.last()).map(|ticket| i64::from(ticket.0)));
        }
        for row in query.fetch_all(store.reader()).await? {
            let ticket: i64 = row.try_get("ticket")?;
            let (id, reason) = (ticket.to_string(), "its ticket is out of range");
            let number = u32::try_from(ticket).map_err(|_| StoreError::Damaged {
                table: "queue_entries",
                id,
                reason,
            })?;
            joined.insert(Ticket(number), Timestamp(row.try_get("joined_at")?));
        }
    }
    Ok(joined)
}

/// How many admissions of a sale ran out unused.
///
/// # Errors
/// When the database fails.
pub async fn count_lapsed(store: &Store, sale: SaleId) -> Result<u64, StoreError> {
    let query = sqlx::query_scalar(COUNT_LAPSED).bind(sale.to_string());
    let count: i64 = query.fetch_one(store.reader()).await?;
    Ok(count.unsigned_abs())
}

fn read(row: &AnyRow) -> Result<QueueRow, StoreError> {
    let ticket: i64 = row.try_get("ticket")?;
    let damaged = |reason| StoreError::Damaged { table: "queue_entries", id: ticket.to_string(), reason };
    let until: Option<i64> = row.try_get("admitted_until")?;
    let status = match (row.try_get::<String, _>("status")?.as_str(), until) {
        ("waiting", None) => QueueEntryStatus::Waiting,
        ("admitted", Some(until)) => QueueEntryStatus::Admitted { until: Timestamp(until) },
        ("served", None) => QueueEntryStatus::Served,
        ("lapsed", None) => QueueEntryStatus::Lapsed,
        ("left", None) => QueueEntryStatus::Left,
        _ => return Err(damaged("its status is unknown")),
    };
    Ok(QueueRow {
        ticket: Ticket(u32::try_from(ticket).map_err(|_| damaged("its ticket is out of range"))?),
        buyer: row
            .try_get::<String, _>("buyer_id")?
            .parse()
            .map_err(|_| damaged("its buyer is not a UUID"))?,
        status,
        joined_at: Timestamp(row.try_get("joined_at")?),
        admitted_at: row.try_get::<Option<i64>, _>("admitted_at")?.map(Timestamp),
        changed_at: Timestamp(row.try_get("changed_at")?),
        seq: EventSeq(row.try_get::<i64, _>("seq")?.cast_unsigned()),
    })
}
