//! Reads the ledger a page at a time: for followers, for the fold at the start, for `doorbuster verify`. Checks every row's sum.
//! It never writes, and claims nothing.

use super::connect::{Address, in_time, set_terms};
use super::room::Room;
use super::{ANSWER_LIMIT, schema};
use crate::record::row::{
    BAD_SUM, Gaps, Nameless, PAGE_LEN, PAGES_AHEAD, crc, follow, key, no_of, read_entry, sale_crc,
};
use crate::record::{Page, Read, ReadError};
use futures::future::BoxFuture;
use sale::{Entry, SaleId, Seq};
use sqlx::postgres::{PgPool, PgPoolOptions, PgRow};
use sqlx::{Executor, Row};
use std::collections::HashMap;
use tokio::sync::mpsc;

/// Who reads at a time: the fold or a follower or two, and people who look at events.
const CONNECTIONS_MAX: u32 = 4;

const SALES: &str = "SELECT no, id::TEXT AS id, crc FROM ledger_sales ORDER BY no";

const FIND_SALE: &str = "SELECT no, id::TEXT AS id, crc FROM ledger_sales WHERE id = $1::TEXT::UUID";

const PAGE: &str = "
SELECT key, at, body, crc FROM ledger_entries WHERE key > $1 AND key < $2 ORDER BY key LIMIT $3";

/// A page is read along the key, whatever the planner believes of a table that nobody has analysed yet: it would rather look up
/// and sort all that follows, for each page anew.
const WAY: &str = "
SET default_transaction_read_only = on;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_sort = off";

/// The reading side of a ledger in PostgreSQL.
pub struct PostgresReader {
    room: Room,
    pool: PgPool,
}

impl PostgresReader {
    /// Reads the ledger in the database.
    ///
    /// # Errors
    /// When there is none, or the database cannot be reached.
    pub async fn open(address: &Address) -> Result<Self, ReadError> {
        let room = Room::start().map_err(|error| ReadError::Store(Box::new(error)))?;
        let options = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ANSWER_LIMIT)
            .after_connect(|connection, _| {
                Box::pin(async {
                    set_terms(connection).await?;
                    connection.execute(WAY).await?;
                    Ok(())
                })
            });
        let guard = room.handle().enter();
        let pool = options.connect_lazy_with(address.options().clone());
        drop(guard);
        let entered = address.clone();
        // Not by the pool, which would only say that it lost its patience.
        let check = async move { schema::check(&mut entered.connect().await?).await };
        room.run(in_time(ANSWER_LIMIT, check)).await?;
        Ok(Self { room, pool })
    }

    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// The connections, for those who live in the same room.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }
}

impl Read for PostgresReader {
    fn sales(&self) -> BoxFuture<'_, Result<Vec<SaleId>, ReadError>> {
        let pool = self.pool.clone();
        Box::pin(self.room.run(async move {
            Ok(in_time(ANSWER_LIMIT, sales(&pool)).await?.into_iter().map(|(_, sale)| sale).collect())
        }))
    }

    fn read(&self, sale: SaleId, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        let pool = self.pool.clone();
        Box::pin(self.room.run(async move {
            let Some(no) = in_time(ANSWER_LIMIT, number_of(&pool, sale)).await? else {
                return Ok(Vec::new());
            };
            let mut entries = Vec::new();
            let mut last = after;
            // A page at a time, so that each is in time however many are asked for.
            while entries.len() < limit {
                let len = PAGE_LEN.min(limit - entries.len());
                let keys = (key(no, last), key(no + 1, Seq(0)));
                let rows = in_time(ANSWER_LIMIT, rows(&pool, keys, len)).await?;
                let mut page = Page { sale, entries: Vec::with_capacity(rows.len()) };
                for row in &rows {
                    last = take(&mut page, last, row)?;
                }
                entries.append(&mut page.entries);
                if rows.len() < len {
                    break;
                }
            }
            Ok(entries)
        }))
    }

    fn scan(&self) -> mpsc::Receiver<Result<Page, ReadError>> {
        let (pages, receiver) = mpsc::channel(PAGES_AHEAD);
        let pool = self.pool.clone();
        self.room.handle().spawn(async move {
            if let Err(error) = walk(&pool, &pages).await {
                // Nobody listens any more: nobody needs to know.
                let _unheard = pages.send(Err(error)).await;
            }
        });
        receiver
    }
}

/// Reads every row in the order of keys and hands the events on. Each page is a look of its own, so that a slow taker holds no
/// snapshot open.
async fn walk(pool: &PgPool, pages: &mpsc::Sender<Result<Page, ReadError>>) -> Result<(), ReadError> {
    let mut names: HashMap<i64, SaleId> = HashMap::new();
    let (mut last_key, mut last) = (i64::MIN, Seq(0));
    loop {
        let rows = in_time(ANSWER_LIMIT, rows(pool, (last_key, i64::MAX), PAGE_LEN)).await?;
        for stretch in rows.chunk_by(|one, next| no_of(one.get(0)) == no_of(next.get(0))) {
            let no = no_of(stretch[0].try_get(0)?);
            if no != no_of(last_key) {
                last = Seq(0);
            }
            if !names.contains_key(&no) {
                names.extend(in_time(ANSWER_LIMIT, sales(pool)).await?);
            }
            let sale = *names.get(&no).ok_or_else(|| nameless(no))?;
            let mut page = Page { sale, entries: Vec::with_capacity(stretch.len()) };
            for row in stretch {
                last = take(&mut page, last, row)?;
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

async fn rows(pool: &PgPool, (after, before): (i64, i64), limit: usize) -> Result<Vec<PgRow>, ReadError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(sqlx::query(PAGE).bind(after).bind(before).bind(limit).fetch_all(pool).await?)
}

/// Puts the event of a row behind the last one.
fn take(page: &mut Page, last: Seq, row: &PgRow) -> Result<Seq, ReadError> {
    let (key, at, body): (i64, i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let is_intact = row.try_get::<i64, _>(3)? == crc(key, at, body);
    let read = if is_intact { read_entry(key, at, body) } else { Err(BAD_SUM) };
    follow(page, last, key, read, Gaps::AreAllowed)
}

async fn sales(pool: &PgPool) -> Result<Vec<(i64, SaleId)>, ReadError> {
    sqlx::query(SALES).fetch_all(pool).await?.iter().map(named).collect()
}

async fn number_of(pool: &PgPool, sale: SaleId) -> Result<Option<i64>, ReadError> {
    let row = sqlx::query(FIND_SALE).bind(sale.0.to_string()).fetch_optional(pool).await?;
    Ok(row.as_ref().map(named).transpose()?.map(|(no, _)| no))
}

fn named(row: &PgRow) -> Result<(i64, SaleId), ReadError> {
    let (no, id): (i64, String) = (row.try_get("no")?, row.try_get("id")?);
    let sale: SaleId = id.parse().map_err(|_| nameless(no))?;
    if row.try_get::<i64, _>("crc")? != sale_crc(no, sale) {
        let what = "the checksum of the sale's own id does not fit";
        return Err(ReadError::Damaged { sale, seq: Seq(0), what });
    }
    Ok((no, sale))
}

fn nameless(no: i64) -> ReadError {
    ReadError::Corrupt { file: "ledger_entries".to_owned(), cause: Box::new(Nameless { no }) }
}
