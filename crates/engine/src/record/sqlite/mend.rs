//! Torn ends of sales, after a power loss on a disk that acknowledged a page and lost a part of it. SQLite's own log
//! already drops a torn transaction whole; this is for what its checksums do not cover.
//!
//! Never mends anything that power loss does not explain: rows that intact rows follow, or more rows than one batch can
//! hold, are damage, and damage stops the start.

use super::open;
use super::row::{is_intact, key, sales, seq_of, walk};
use crate::record::ReadError;
use rusqlite::{Connection, TransactionBehavior};
use sale::{SaleId, Seq};
use std::path::Path;

/// Rows that a power loss may tear, at most: the one transaction that was under way then, with a full batch
/// ([`crate::pipeline::Limits::batch_len_max`], 1024 requests) and four events a request.
const TORN_ROWS_MAX: u64 = 4096;

/// Sets the torn rows at the sales' ends aside, into the table `torn`, and returns how many there were. Nothing is touched
/// unless everything else in the ledger is intact.
///
/// # Errors
/// When the damage is not a torn end, or the file cannot be read or written.
pub(crate) fn mend_torn_tails(folder: &Path) -> Result<u64, ReadError> {
    let mut connection = open(folder)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tails = torn_tails(&transaction)?;
    let torn = tails.iter().map(|tail| (tail.no, tail.from)).collect();
    walk(&transaction, &torn, |_| true)?;
    for tail in &tails {
        let range = (tail.from, key(tail.no + 1, Seq(0)));
        transaction.execute(
            "INSERT INTO torn SELECT key, at, body, crc FROM entries WHERE key >= ?1 AND key < ?2",
            range,
        )?;
        transaction.execute("DELETE FROM entries WHERE key >= ?1 AND key < ?2", range)?;
        tracing::error!(
            sale = %tail.sale,
            seq = seq_of(tail.from).0,
            rows = tail.rows,
            "a torn end of the ledger was set aside: the disk lost what it had acknowledged"
        );
    }
    transaction.commit()?;
    Ok(tails.iter().map(|tail| tail.rows).sum())
}

struct Tail {
    no: i64,
    sale: SaleId,
    /// The key of its first row.
    from: i64,
    rows: u64,
}

fn torn_tails(connection: &Connection) -> Result<Vec<Tail>, ReadError> {
    let mut tails = Vec::new();
    let mut rows = 0;
    for (no, sale) in sales(connection)? {
        if let Some(tail) = torn_tail(connection, no, sale)? {
            rows += tail.rows;
            if rows > TORN_ROWS_MAX {
                let what = "more rows at the end are damaged than one power loss explains";
                return Err(ReadError::Damaged { sale, seq: seq_of(tail.from), what });
            }
            tails.push(tail);
        }
    }
    Ok(tails)
}

/// The rows of one sale that are not intact, looking backwards from its end until an intact one.
fn torn_tail(connection: &Connection, no: i64, sale: SaleId) -> Result<Option<Tail>, ReadError> {
    let mut statement = connection.prepare_cached(
        "SELECT key, at, body, crc FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key DESC",
    )?;
    let mut rows = statement.query((key(no, Seq(0)), key(no + 1, Seq(0))))?;
    let mut tail: Option<Tail> = None;
    while let Some(row) = rows.next()? {
        if is_intact(row)? {
            break;
        }
        let tail = tail.get_or_insert(Tail { no, sale, from: 0, rows: 0 });
        tail.from = row.get(0)?;
        tail.rows += 1;
        if tail.rows > TORN_ROWS_MAX {
            break;
        }
    }
    Ok(tail)
}
