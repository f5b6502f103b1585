//! Reads the ledger a page at a time: for followers, for the fold at the start, for `doorbuster verify`. Checks every row's
//! checksum. It never writes, and claims nothing.

use super::connect::{PostgresAddress, with_timeout};
use super::runtime::PgRuntime;
use super::{ANSWER_TIMEOUT, schema};
use crate::record::row::{
    BAD_CHECKSUM, OrphanRows, PAGE_LEN, PAGES_AHEAD, decode_entry, event_seq, push_entry, row_checksum,
    row_key, sale_checksum, sale_number,
};
use crate::record::{LedgerPage, LedgerReader, ReadError, SaleNumber};
use connection_pool::{ConnectionPool, PoolOptions};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sale::{EventSeq, LedgerEntry, SaleId};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Executor, Row};
use std::collections::HashMap;
use tokio::sync::mpsc;

/// Readers at a time: a fold, which reads two pages at once, a follower or two, and requests that list events.
const CONNECTIONS_MAX: usize = 6;

const SALES: &str = "SELECT no, id::TEXT AS id, crc FROM ledger_sales ORDER BY no";

/// The key of each sale's last event; one look into the primary key for each sale.
const HEADS: &str = "
SELECT id::TEXT AS id, no, crc, COALESCE((
    SELECT MAX(key) FROM ledger_entries WHERE key > ledger_sales.no << 40 AND key < (ledger_sales.no + 1) << 40
), 0) AS last_key
FROM ledger_sales
ORDER BY no";

const FIND_SALE: &str = "SELECT no, id::TEXT AS id, crc FROM ledger_sales WHERE id = $1::TEXT::UUID";

const PAGE: &str = "
SELECT key, at, body, crc FROM ledger_entries WHERE key > $1 AND key < $2 ORDER BY key LIMIT $3";

/// Makes the planner read a page along the primary key. Without statistics on the table it would read and sort all following
/// rows for each page.
const PLANNER_SETTINGS: &str = "
SET default_transaction_read_only = on;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_sort = off";

pub struct PostgresReader {
    runtime: PgRuntime,
    pool: LedgerPool,
}

pub(super) type LedgerPool = ConnectionPool<PgConnection>;

impl PostgresReader {
    /// Opens the ledger in the database.
    ///
    /// # Errors
    /// When there is none, or the database cannot be reached.
    pub async fn open(address: &PostgresAddress) -> Result<Self, ReadError> {
        let runtime = PgRuntime::start().map_err(|error| ReadError::Store(Box::new(error)))?;
        let options = PoolOptions {
            connections_max: CONNECTIONS_MAX,
            acquire_timeout: ANSWER_TIMEOUT,
            can_break: true,
        };
        let checked = address.clone();
        // On a connection outside of the pool, which would try again for as long as this is to take.
        let check = async move { schema::check_format(&mut checked.connect().await?).await };
        runtime.run(with_timeout(ANSWER_TIMEOUT, check)).await?;
        let address = address.clone();
        let pool = ConnectionPool::new(options, move || {
            let address = address.clone();
            async move {
                let mut connection = address.connect().await?;
                connection.execute(PLANNER_SETTINGS).await?;
                Ok(connection)
            }
            .boxed()
        });
        Ok(Self { runtime, pool })
    }

    /// The last event of every sale.
    ///
    /// # Errors
    /// When the database does not answer, or the row of a sale is damaged.
    pub async fn list_heads(&self) -> Result<Vec<(SaleId, EventSeq)>, ReadError> {
        let pool = self.pool.clone();
        let read = async move {
            let rows = sqlx::query(HEADS).fetch_all(&pool).await?;
            let heads = rows.iter().map(|row| {
                let (_, sale) = decode_sale(row)?;
                Ok((sale, event_seq(row.try_get("last_key")?)))
            });
            heads.collect::<Result<Vec<_>, ReadError>>()
        };
        self.runtime.run(with_timeout(ANSWER_TIMEOUT, read)).await
    }

    pub(super) fn runtime(&self) -> &PgRuntime {
        &self.runtime
    }

    pub(super) fn pool(&self) -> &LedgerPool {
        &self.pool
    }
}

impl LedgerReader for PostgresReader {
    fn list_sales(&self) -> BoxFuture<'_, Result<Vec<SaleId>, ReadError>> {
        let pool = self.pool.clone();
        Box::pin(self.runtime.run(async move {
            Ok(with_timeout(ANSWER_TIMEOUT, fetch_sales(&pool))
                .await?
                .into_iter()
                .map(|(_, sale)| sale)
                .collect())
        }))
    }

    fn read_entries(
        &self,
        sale: SaleId,
        after: EventSeq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<LedgerEntry>, ReadError>> {
        let pool = self.pool.clone();
        Box::pin(self.runtime.run(async move {
            let Some(no) = with_timeout(ANSWER_TIMEOUT, find_sale_number(&pool, sale)).await? else {
                return Ok(Vec::new());
            };
            let mut entries = Vec::new();
            let mut last = after;
            // A page at a time, so that each is in time however many are requested.
            while entries.len() < limit {
                let len = PAGE_LEN.min(limit - entries.len());
                let keys = (row_key(no, last), row_key(no + 1, EventSeq(0)));
                let rows = with_timeout(ANSWER_TIMEOUT, fetch_rows(&pool, keys, len)).await?;
                let mut page = LedgerPage { sale, entries: Vec::with_capacity(rows.len()) };
                for row in &rows {
                    last = push_row(&mut page, last, row)?;
                }
                entries.append(&mut page.entries);
                if rows.len() < len {
                    break;
                }
            }
            Ok(entries)
        }))
    }

    fn find_number(&self, sale: SaleId) -> BoxFuture<'_, Result<Option<SaleNumber>, ReadError>> {
        let pool = self.pool.clone();
        Box::pin(self.runtime.run(async move {
            let number = with_timeout(ANSWER_TIMEOUT, find_sale_number(&pool, sale)).await?;
            Ok(number.map(SaleNumber::new))
        }))
    }

    fn scan(&self) -> mpsc::Receiver<Result<LedgerPage, ReadError>> {
        let (pages, receiver) = mpsc::channel(PAGES_AHEAD);
        let pool = self.pool.clone();
        self.runtime.handle().spawn(async move {
            if let Err(error) = scan_pages(&pool, &pages).await {
                // When the receiver was dropped, no caller waits for the error.
                let _unheard = pages.send(Err(error)).await;
            }
        });
        receiver
    }
}

/// Reads every row in the order of keys and sends the events on. Each page is a statement of its own, so that a slow receiver
/// holds no snapshot open.
async fn scan_pages(
    pool: &LedgerPool,
    pages: &mpsc::Sender<Result<LedgerPage, ReadError>>,
) -> Result<(), ReadError> {
    let mut names: HashMap<i64, SaleId> = HashMap::new();
    let (mut last_key, mut last) = (i64::MIN, EventSeq(0));
    loop {
        let rows = with_timeout(ANSWER_TIMEOUT, fetch_rows(pool, (last_key, i64::MAX), PAGE_LEN)).await?;
        for rows_of_sale in rows.chunk_by(|one, next| sale_number(one.get(0)) == sale_number(next.get(0))) {
            let no = sale_number(rows_of_sale[0].try_get(0)?);
            if no != sale_number(last_key) {
                last = EventSeq(0);
            }
            if !names.contains_key(&no) {
                names.extend(with_timeout(ANSWER_TIMEOUT, fetch_sales(pool)).await?);
            }
            let sale = *names.get(&no).ok_or_else(|| orphan_rows_error(no))?;
            let mut page = LedgerPage { sale, entries: Vec::with_capacity(rows_of_sale.len()) };
            for row in rows_of_sale {
                last = push_row(&mut page, last, row)?;
                last_key = row.try_get(0)?;
            }
            if pages.send(Ok(page)).await.is_err() {
                return Ok(());
            }
        }
        if rows.len() < PAGE_LEN {
            return Ok(());
        }
    }
}

async fn fetch_rows(
    pool: &LedgerPool,
    (after, before): (i64, i64),
    limit: usize,
) -> Result<Vec<PgRow>, ReadError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(sqlx::query(PAGE).bind(after).bind(before).bind(limit).fetch_all(pool).await?)
}

/// Appends the event of a row to the page.
fn push_row(page: &mut LedgerPage, last: EventSeq, row: &PgRow) -> Result<EventSeq, ReadError> {
    let (key, at, body): (i64, i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let is_intact = row.try_get::<i64, _>(3)? == row_checksum(key, at, body);
    let read = if is_intact { decode_entry(key, at, body) } else { Err(BAD_CHECKSUM) };
    push_entry(page, last, key, read)
}

async fn fetch_sales(pool: &LedgerPool) -> Result<Vec<(i64, SaleId)>, ReadError> {
    sqlx::query(SALES).fetch_all(pool).await?.iter().map(decode_sale).collect()
}

async fn find_sale_number(pool: &LedgerPool, sale: SaleId) -> Result<Option<i64>, ReadError> {
    let row = sqlx::query(FIND_SALE).bind(sale.0.to_string()).fetch_optional(pool).await?;
    Ok(row.as_ref().map(decode_sale).transpose()?.map(|(no, _)| no))
}

fn decode_sale(row: &PgRow) -> Result<(i64, SaleId), ReadError> {
    let (no, id): (i64, String) = (row.try_get("no")?, row.try_get("id")?);
    let sale: SaleId = id.parse().map_err(|_| orphan_rows_error(no))?;
    if row.try_get::<i64, _>("crc")? != sale_checksum(no, sale) {
        let what = "the checksum of the sale's own id does not fit";
        return Err(ReadError::Damaged { sale, seq: EventSeq(0), what });
    }
    Ok((no, sale))
}

fn orphan_rows_error(no: i64) -> ReadError {
    ReadError::Corrupt { file: "ledger_entries".to_owned(), cause: Box::new(OrphanRows { no }) }
}
