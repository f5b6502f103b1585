//! Torn ends of sales, after a power loss on a disk that acknowledged a page and lost a part of it. SQLite's own log
//! already drops a torn transaction whole; this is for what its checksums do not cover.
//!
//! Never mends anything that power loss does not explain: rows that intact rows follow, or more rows than one batch can
//! hold, are damage, and damage stops the start.

use super::open;
use super::row::{is_intact, sales, walk};
use crate::record::ReadError;
use crate::record::row::{key, seq_of};
use rusqlite::{Connection, TransactionBehavior};
use sale::{SaleId, Seq};
use std::collections::HashMap;
use std::path::Path;

/// Rows that a power loss may tear, at most: the one transaction that was under way then, with a full batch
/// ([`crate::pipeline::Limits::batch_len_max`], 1024 requests) and four events a request.
const TORN_ROWS_MAX: u64 = 4096;

/// Rows at the end of one sale that are not as they were written, and that a power loss explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornEnd {
    /// Which sale.
    pub sale: SaleId,
    /// The number of its first torn event.
    pub from: Seq,
    /// How many rows.
    pub rows: u64,
    /// The sale's number in the file.
    no: i64,
}

impl TornEnd {
    /// The key of its first row.
    fn key(&self) -> i64 {
        key(self.no, self.from)
    }
}

/// The torn ends by sale, as a walk over the rest wants them.
pub(super) fn by_sale(torn: &[TornEnd]) -> HashMap<i64, i64> {
    torn.iter().map(|end| (end.no, end.key())).collect()
}

/// Sets the torn rows at the sales' ends aside, into the table `torn`, and returns how many there were. Nothing is touched
/// unless everything else in the ledger is intact.
///
/// # Errors
/// When the damage is not a torn end, or the file cannot be read or written.
pub(crate) fn mend_torn_tails(folder: &Path) -> Result<u64, ReadError> {
    let mut connection = open(folder)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let torn = torn_ends(&transaction)?;
    walk(&transaction, &by_sale(&torn), |_| true)?;
    for end in &torn {
        let range = (end.key(), key(end.no + 1, Seq(0)));
        transaction.execute(
            "INSERT INTO torn SELECT key, at, body, crc FROM entries WHERE key >= ?1 AND key < ?2",
            range,
        )?;
        transaction.execute("DELETE FROM entries WHERE key >= ?1 AND key < ?2", range)?;
        tracing::error!(
            sale = %end.sale,
            seq = end.from.0,
            rows = end.rows,
            "a torn end of the ledger was set aside: the disk lost what it had acknowledged"
        );
    }
    transaction.commit()?;
    Ok(torn.iter().map(|end| end.rows).sum())
}

/// What the next start would set aside, if everything else is intact.
///
/// # Errors
/// When there is more of it than a power loss explains, or the file cannot be read.
pub(super) fn torn_ends(connection: &Connection) -> Result<Vec<TornEnd>, ReadError> {
    let mut torn = Vec::new();
    let mut rows = 0;
    for (no, sale) in sales(connection)? {
        if let Some(end) = torn_end(connection, no, sale)? {
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

/// The rows of one sale that are not intact, looking backwards from its end until an intact one.
fn torn_end(connection: &Connection, no: i64, sale: SaleId) -> Result<Option<TornEnd>, ReadError> {
    let mut statement = connection.prepare_cached(
        "SELECT key, at, body, crc FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key DESC",
    )?;
    let mut rows = statement.query((key(no, Seq(0)), key(no + 1, Seq(0))))?;
    let mut torn: Option<TornEnd> = None;
    while let Some(row) = rows.next()? {
        if is_intact(row)? {
            break;
        }
        let end = torn.get_or_insert(TornEnd { sale, from: Seq(0), rows: 0, no });
        end.from = seq_of(row.get(0)?);
        end.rows += 1;
        if end.rows > TORN_ROWS_MAX {
            break;
        }
    }
    Ok(torn)
}
