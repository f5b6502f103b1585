//! Rows of `ledger.db`, and a scan of all of them that checks each.

use crate::record::row::{
    BAD_CHECKSUM, OrphanRows, PAGE_LEN, decode_entry, event_seq, push_entry, row_checksum, row_key,
    sale_checksum, sale_number,
};
use crate::record::{LedgerPage, ReadError};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension};
use sale::{EventSeq, LedgerEntry, SaleId};
use std::collections::HashMap;
use uuid::Uuid;

/// True when the row `(key, at, body, crc)` is as it was written.
pub(super) fn is_intact(row: &rusqlite::Row<'_>) -> Result<bool, rusqlite::Error> {
    let key: i64 = row.get(0)?;
    Ok(match (row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?) {
        (ValueRef::Integer(at), ValueRef::Blob(body), ValueRef::Integer(checksum)) => {
            checksum == row_checksum(key, at, body)
        }
        _ => false,
    })
}

/// The event in the row `(key, at, body, crc)`, or what is wrong with it.
fn read_row(row: &rusqlite::Row<'_>) -> Result<(i64, Result<LedgerEntry, &'static str>), rusqlite::Error> {
    let key: i64 = row.get(0)?;
    if !is_intact(row)? {
        return Ok((key, Err(BAD_CHECKSUM)));
    }
    Ok((key, decode_entry(key, row.get(1)?, row.get_ref(2)?.as_blob()?)))
}

/// All sales by their numbers. It looks each one up by its id, too, as a reader of one sale will: nothing else reads that index,
/// and damage in it should stop a start, not a request.
pub(super) fn load_sales(connection: &Connection) -> Result<Vec<(i64, SaleId)>, ReadError> {
    let mut statement = connection.prepare_cached("SELECT no, id, crc FROM sales ORDER BY no")?;
    let mut rows = statement.query([])?;
    let mut sales = Vec::new();
    while let Some(row) = rows.next()? {
        let (no, sale) = (row.get(0)?, SaleId(row.get::<_, UuidBlob>(1)?.0));
        if row.get::<_, i64>(2)? != sale_checksum(no, sale) {
            let what = "the checksum of the sale's own id does not fit";
            return Err(ReadError::Damaged { sale, seq: EventSeq(0), what });
        }
        sales.push((no, sale));
    }
    for (no, sale) in &sales {
        if find_sale_number(connection, *sale)? != Some(*no) {
            let what = "it is not found by its id";
            return Err(ReadError::Damaged { sale: *sale, seq: EventSeq(0), what });
        }
    }
    Ok(sales)
}

/// The number of a sale; `None` if the ledger does not know it.
pub(super) fn find_sale_number(connection: &Connection, sale: SaleId) -> Result<Option<i64>, ReadError> {
    let mut statement = connection.prepare_cached("SELECT no FROM sales WHERE id = ?1")?;
    Ok(statement.query_row([UuidBlob(sale.0)], |row| row.get(0)).optional()?)
}

/// The last event of a sale; 0 when it has none.
pub(super) fn find_head(connection: &Connection, no: i64) -> Result<EventSeq, ReadError> {
    let mut statement = connection
        .prepare_cached("SELECT key FROM entries WHERE key > ?1 AND key < ?2 ORDER BY key DESC LIMIT 1")?;
    let range = (row_key(no, EventSeq(0)), row_key(no + 1, EventSeq(0)));
    let key = statement.query_row(range, |row| row.get(0)).optional()?;
    Ok(key.map(event_seq).unwrap_or_default())
}

/// Up to `limit` events of one sale after `after`.
pub(super) fn read_page(
    connection: &Connection,
    (no, sale): (i64, SaleId),
    after: EventSeq,
    limit: usize,
) -> Result<Vec<LedgerEntry>, ReadError> {
    let mut statement = connection.prepare_cached(
        "SELECT key, at, body, crc FROM entries WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT ?3",
    )?;
    let limit_rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query((row_key(no, after), row_key(no + 1, EventSeq(0)), limit_rows))?;
    let mut page = LedgerPage { sale, entries: Vec::with_capacity(limit.min(PAGE_LEN)) };
    let mut last = after;
    while let Some(row) = rows.next()? {
        let (key, read) = read_row(row)?;
        last = push_entry(&mut page, last, key, read)?;
    }
    Ok(page.entries)
}

/// Reads every row in the order of keys and passes the events on, a page at a time; stops when `take` returns false. Rows from
/// `torn[no]` on are skipped. Each page is a statement of its own, so that a slow receiver holds no snapshot open.
pub(super) fn scan_pages(
    connection: &Connection,
    torn: &HashMap<i64, i64>,
    mut take: impl FnMut(LedgerPage) -> bool,
) -> Result<(), ReadError> {
    let mut statement = connection
        .prepare_cached("SELECT key, at, body, crc FROM entries WHERE key > ?1 ORDER BY key LIMIT ?2")?;
    let mut names: HashMap<i64, SaleId> = load_sales(connection)?.into_iter().collect();
    let (mut last_key, mut last) = (i64::MIN, EventSeq(0));
    let mut page: Option<LedgerPage> = None;
    loop {
        let mut rows = statement.query((last_key, i64::try_from(PAGE_LEN).unwrap_or(i64::MAX)))?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            let (key, read) = read_row(row)?;
            let no = sale_number(key);
            if page.is_none() || no != sale_number(last_key) {
                if no != sale_number(last_key) {
                    last = EventSeq(0);
                }
                if page.take().is_some_and(|full| !full.entries.is_empty() && !take(full)) {
                    return Ok(());
                }
                page = Some(LedgerPage {
                    sale: find_sale(connection, &mut names, key)?,
                    entries: Vec::with_capacity(PAGE_LEN),
                });
            }
            last_key = key;
            if let Some(page) = &mut page
                && torn.get(&no).is_none_or(|from| key < *from)
            {
                last = push_entry(page, last, key, read)?;
            }
        }
        if page.take().is_some_and(|full| !full.entries.is_empty() && !take(full)) || count < PAGE_LEN {
            return Ok(());
        }
    }
}

/// The sale of a row. It may have been announced since the names were read.
fn find_sale(
    connection: &Connection,
    names: &mut HashMap<i64, SaleId>,
    key: i64,
) -> Result<SaleId, ReadError> {
    if !names.contains_key(&sale_number(key)) {
        names.extend(load_sales(connection)?);
    }
    names.get(&sale_number(key)).copied().ok_or_else(|| ReadError::Corrupt {
        file: super::FILE.to_owned(),
        cause: Box::new(OrphanRows { no: sale_number(key) }),
    })
}

/// A UUID as its 16 bytes.
pub(super) struct UuidBlob(pub Uuid);

impl ToSql for UuidBlob {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for UuidBlob {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Uuid::from_slice(value.as_blob()?).map(Self).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}
