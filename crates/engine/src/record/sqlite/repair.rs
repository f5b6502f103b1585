//! Torn rows at the ends of sales, after a power loss on a disk that acknowledged a page and lost a part of it. SQLite's own log
//! already drops a torn transaction as a whole; this covers what its checksums do not.
//!
//! It never repairs what a power loss does not explain: bad rows before intact ones, or more rows than one batch can hold, are
//! damage, and damage stops the start.

use super::open_for_writing;
use super::row::{is_intact, load_sales, scan_pages};
use crate::record::ReadError;
use crate::record::row::{event_seq, row_key};
use rusqlite::{Connection, TransactionBehavior};
use sale::{EventSeq, SaleId};
use std::collections::HashMap;
use std::path::Path;

/// Rows that a power loss may tear, at most: one transaction with a full batch
/// ([`crate::pipeline::PipelineLimits::batch_len_max`], 1024 requests) and four events a request.
const TORN_ROWS_MAX: u64 = 4096;

/// Rows at the end of one sale that are not as they were written, and that a power loss explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    pub sale: SaleId,
    /// The number of its first torn event.
    pub from: EventSeq,
    pub rows: u64,
    /// The sale's number in the file.
    no: i64,
}

impl TornTail {
    /// The key of its first row.
    fn first_key(&self) -> i64 {
        row_key(self.no, self.from)
    }
}

/// The first torn key of each sale, by the sale's number.
pub(super) fn torn_keys(torn: &[TornTail]) -> HashMap<i64, i64> {
    torn.iter().map(|end| (end.no, end.first_key())).collect()
}

/// Moves the torn rows at the ends of sales into the table `torn`, and returns how many there were. Changes nothing unless
/// everything else in the ledger is intact.
///
/// # Errors
/// When the damage is not a torn end, or the file cannot be read or written.
pub(crate) fn move_torn_tails(folder: &Path) -> Result<u64, ReadError> {
    let mut connection = open_for_writing(folder)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let torn = find_torn_tails(&transaction)?;
    scan_pages(&transaction, &torn_keys(&torn), |_| true)?;
    for end in &torn {
        let range = (end.first_key(), row_key(end.no + 1, EventSeq(0)));
        transaction.execute(
            "INSERT INTO torn SELECT key, at, body, crc FROM entries WHERE key >= ?1 AND key < ?2",
            range,
        )?;
        transaction.execute("DELETE FROM entries WHERE key >= ?1 AND key < ?2", range)?;
        tracing::error!(
            sale = %end.sale,
            seq = end.from.0,
            rows = end.rows,
            "rows at the end of a sale are damaged and were moved to the table torn; the sale continues without them; buyers may have \
             paid for orders that are gone: list captured payments without a confirmed order"
        );
    }
    transaction.commit()?;
    Ok(torn.iter().map(|end| end.rows).sum())
}

/// The rows that the next start would move into the table `torn`, if everything else is intact.
///
/// # Errors
/// When there is more of it than a power loss explains, or the file cannot be read.
pub(super) fn find_torn_tails(connection: &Connection) -> Result<Vec<TornTail>, ReadError> {
    let mut torn = Vec::new();
    let mut rows = 0;
    for (no, sale) in load_sales(connection)? {
        if let Some(end) = find_torn_tail(connection, no, sale)? {
            rows += end.rows;
            if rows > TORN_ROWS_MAX {
                let what = "more rows at the end are damaged than one power loss explains";
                return Err(ReadError::Damaged { sale, seq: end.from, what });
            }
            torn.push(end);
        }
    }
    Ok(torn)
}

/// The rows of one sale that are not intact, backwards from its end to the last intact one.
fn find_torn_tail(connection: &Connection, no: i64, sale: SaleId) -> Result<Option<TornTail>, ReadError> {
    let mut statement = connection.prepare_cached(
        "SELECT key, at, body, crc FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key DESC",
    )?;
    let mut rows = statement.query((row_key(no, EventSeq(0)), row_key(no + 1, EventSeq(0))))?;
    let mut torn: Option<TornTail> = None;
    while let Some(row) = rows.next()? {
        if is_intact(row)? {
            break;
        }
        let end = torn.get_or_insert(TornTail { sale, from: EventSeq(0), rows: 0, no });
        end.from = event_seq(row.get(0)?);
        end.rows += 1;
        if end.rows > TORN_ROWS_MAX {
            break;
        }
    }
    Ok(torn)
}
