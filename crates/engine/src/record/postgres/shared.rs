//! Appends to a ledger that many processes write, with one statement and one commit for a batch of many sales. A range of events
//! is written only under the epoch in which it was decided, and only right behind the event that it follows: so a sale's events
//! become durable in their order, whichever process decided them, and the ledger has no gap. It decides nothing, waits for no
//! other process's events, and claims nothing.

use super::ANSWER_TIMEOUT;
use super::connect::{PostgresAddress, with_timeout};
use super::entry_columns::EntryColumns;
use crate::batch::Epoch;
use crate::record::RecordError;
use crate::record::row::event_seq;
use sale::{EventSeq, LedgerEntry, SaleId};
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Row};
use std::collections::HashMap;

/// Locks the sales in one order for all writers, reads their heads under the lock, and writes the ranges that fit. A writer of a
/// sale waits here for another writer's commit, and nowhere else.
const APPEND: &str = "
WITH wanted AS (
    SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[]) AS w (no, epoch, before, last)
),
locked AS MATERIALIZED (
    SELECT no, epoch, head FROM ledger_epochs WHERE no = ANY($1) ORDER BY no FOR UPDATE
),
fit AS MATERIALIZED (
    SELECT w.no, w.last FROM wanted w JOIN locked l ON l.no = w.no WHERE l.epoch = w.epoch AND l.head = w.before
),
moved AS (
    UPDATE ledger_epochs e SET head = f.last FROM fit f WHERE e.no = f.no
),
written AS (
    INSERT INTO ledger_entries (key, at, body, crc)
    SELECT r.key, r.at, r.body, r.crc
    FROM unnest($5::BIGINT[], $6::BIGINT[], $7::BYTEA[], $8::BIGINT[]) AS r (key, at, body, crc)
    JOIN fit ON fit.no = r.key >> 40
)
SELECT l.no, l.epoch, l.head, f.no IS NOT NULL AS is_kept FROM locked l LEFT JOIN fit f ON f.no = l.no";

const SELECT_HEADS: &str = "
SELECT no, epoch, head FROM ledger_epochs WHERE no = ANY($1)";

const NUMBERS: &str = "
SELECT no, id::TEXT AS id FROM ledger_sales WHERE id = ANY($1::TEXT[]::UUID[])";

const SELECT_RECORDED: &str = "
SELECT key, crc FROM ledger_entries WHERE key = ANY($1)";

/// Row 0 names the instance that writes alone. Instances that share the ledger end its claim.
const SHARE: &str = "
UPDATE ledger_epochs SET epoch = epoch + 1, holder = NULL WHERE no = 0 AND holder IS NOT NULL";

/// Consecutive events of one sale that were decided under one epoch.
#[derive(Clone, Copy, Debug)]
pub struct EventRange<'a> {
    pub sale: SaleId,
    pub epoch: Epoch,
    /// The event that they follow.
    pub before: EventSeq,
    /// Never none.
    pub entries: &'a [LedgerEntry],
}

/// The result of writing an [`EventRange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendResult {
    Recorded,
    /// The ledger lacks the event before the range; this is the last event that it has. Nothing was written.
    Behind(EventSeq),
    /// The ledger has some or all of the range already; this is the last event that it has. Nothing was written.
    Ahead(EventSeq),
    /// The range's epoch is over, or never began. Nothing of it was written, and nothing ever will be.
    StaleEpoch,
}

/// A sale's epoch and last event in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaleHead {
    pub epoch: Epoch,
    pub head: EventSeq,
}

/// The writing side of a shared ledger.
pub struct SharedWriter {
    address: PostgresAddress,
    /// `None` at first and after a failure, which leaves a connection in an unknown state.
    connection: Option<PgConnection>,
    /// The numbers of sales in the ledger.
    numbers: HashMap<SaleId, i64>,
}

impl SharedWriter {
    /// Opens a writer, and ends the claim of an instance that wrote alone.
    ///
    /// # Errors
    /// When the database cannot be reached, or holds no ledger.
    pub async fn join(address: &PostgresAddress) -> Result<Self, RecordError> {
        let mut writer = Self { address: address.clone(), connection: None, numbers: HashMap::new() };
        with_timeout(ANSWER_TIMEOUT * 2, async {
            let connection = writer.ensure_connected().await?;
            super::schema::check_format(connection).await?;
            super::schema::log_risks(connection).await?;
            sqlx::query(SHARE).execute(connection).await?;
            Ok::<_, RecordError>(())
        })
        .await?;
        Ok(writer)
    }

    /// Writes the ranges that fit, all in one commit. At most one range of a sale.
    ///
    /// # Errors
    /// When the database fails. Then each range may be written or not; writing it again returns which. The connection is
    /// dropped.
    pub async fn write(&mut self, ranges: &[EventRange<'_>]) -> Result<Vec<AppendResult>, RecordError> {
        self.load_numbers(ranges.iter().map(|range| range.sale)).await?;
        let mut wanted = RangeColumns::default();
        let mut rows = EntryColumns::default();
        for range in ranges {
            if let Some(no) = self.numbers.get(&range.sale) {
                wanted.push(*no, range);
                range.entries.iter().for_each(|entry| rows.push(*no, entry));
            }
        }
        let connection = self.ensure_connected().await?;
        let found = sqlx::query(APPEND)
            .bind(wanted.nos)
            .bind(wanted.epochs)
            .bind(wanted.befores)
            .bind(wanted.lasts)
            .bind(rows.keys)
            .bind(rows.ats)
            .bind(rows.bodies)
            .bind(rows.crcs)
            .fetch_all(connection)
            .await;
        let found = self.settle_result(found.map_err(RecordError::from))?;
        let found =
            found.iter().map(|row| Ok((row.try_get("no")?, (decode_head(row)?, row.try_get("is_kept")?))));
        let found = found.collect::<Result<HashMap<i64, (Option<SaleHead>, bool)>, sqlx::Error>>()?;
        let result = |range: &EventRange<'_>| {
            let found = self.numbers.get(&range.sale).and_then(|no| found.get(no));
            found.map_or(AppendResult::StaleEpoch, |(head, is_kept)| append_result(range, *head, *is_kept))
        };
        Ok(ranges.iter().map(result).collect())
    }

    /// The epochs and heads of sales; a sale without an epoch is left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn load_heads(&mut self, sales: &[SaleId]) -> Result<HashMap<SaleId, SaleHead>, RecordError> {
        self.load_numbers(sales.iter().copied()).await?;
        let nos: Vec<i64> = sales.iter().filter_map(|sale| self.numbers.get(sale).copied()).collect();
        let connection = self.ensure_connected().await?;
        let found = sqlx::query(SELECT_HEADS).bind(nos).fetch_all(connection).await;
        let found = self.settle_result(found.map_err(RecordError::from))?;
        let found = found.iter().map(|row| Ok((row.try_get("no")?, decode_head(row)?)));
        let found = found.collect::<Result<HashMap<i64, Option<SaleHead>>, sqlx::Error>>()?;
        let of = |sale: &SaleId| Some((*sale, (*found.get(self.numbers.get(sale)?)?)?));
        Ok(sales.iter().filter_map(of).collect())
    }

    /// The last of these events that is in the ledger as it is here, together with all before it; `None` when not even the
    /// first one is. Call it when no process can write under the sale's epoch any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_recorded(
        &mut self,
        sale: SaleId,
        entries: &[LedgerEntry],
    ) -> Result<Option<EventSeq>, RecordError> {
        self.load_numbers([sale].into_iter()).await?;
        let Some(no) = self.numbers.get(&sale).copied() else { return Ok(None) };
        let mut rows = EntryColumns::default();
        entries.iter().for_each(|entry| rows.push(no, entry));
        let connection = self.ensure_connected().await?;
        let found = sqlx::query(SELECT_RECORDED).bind(&rows.keys).fetch_all(connection).await;
        let found = self.settle_result(found.map_err(RecordError::from))?;
        let found = found.iter().map(|row| Ok((row.try_get("key")?, row.try_get("crc")?)));
        let found = found.collect::<Result<HashMap<i64, i64>, sqlx::Error>>()?;
        let are_kept = rows.keys.iter().zip(&rows.crcs).take_while(|(key, crc)| found.get(key) == Some(crc));
        Ok(are_kept.last().map(|(key, _)| event_seq(*key)))
    }

    /// Inserts a row and rolls back.
    ///
    /// # Errors
    /// When none would.
    pub async fn probe(&mut self) -> Result<(), RecordError> {
        let probed = with_timeout(ANSWER_TIMEOUT, async {
            let mut transaction = self.ensure_connected().await?.begin().await?;
            sqlx::query(super::writer::PROBE_ROW).execute(&mut *transaction).await?;
            Ok(transaction.rollback().await?)
        });
        let probed = probed.await;
        self.settle_result(probed)
    }

    /// Drops the connection, whose state is unknown after a timeout.
    pub fn drop_connection(&mut self) {
        self.connection = None;
    }

    async fn load_numbers(&mut self, sales: impl Iterator<Item = SaleId>) -> Result<(), RecordError> {
        let unknown: Vec<String> =
            sales.filter(|sale| !self.numbers.contains_key(sale)).map(|sale| sale.0.to_string()).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let connection = self.ensure_connected().await?;
        let found = sqlx::query(NUMBERS).bind(unknown).fetch_all(connection).await;
        for row in self.settle_result(found.map_err(RecordError::from))? {
            let id: String = row.try_get("id")?;
            let id = id.parse().map_err(|_| sqlx::Error::Decode("a sale's id is no UUID".into()))?;
            self.numbers.insert(id, row.try_get("no")?);
        }
        Ok(())
    }

    async fn ensure_connected(&mut self) -> Result<&mut PgConnection, RecordError> {
        let made = match self.connection.take() {
            Some(made) => made,
            None => self.address.connect().await?,
        };
        Ok(self.connection.insert(made))
    }

    fn settle_result<T>(&mut self, result: Result<T, RecordError>) -> Result<T, RecordError> {
        if result.is_err() {
            self.connection = None;
        }
        result
    }
}

/// Ranges by column, as the statement takes them.
#[derive(Default)]
struct RangeColumns {
    nos: Vec<i64>,
    epochs: Vec<i64>,
    befores: Vec<i64>,
    lasts: Vec<i64>,
}

impl RangeColumns {
    fn push(&mut self, no: i64, range: &EventRange<'_>) {
        let last = range.entries.last().map_or(range.before, |entry| entry.seq);
        self.nos.push(no);
        self.epochs.push(range.epoch.0.cast_signed());
        self.befores.push(range.before.0.cast_signed());
        self.lasts.push(last.0.cast_signed());
    }
}

/// A sale's head; `None` when no process has shared the sale yet.
fn decode_head(row: &PgRow) -> Result<Option<SaleHead>, sqlx::Error> {
    let (epoch, head): (i64, Option<i64>) = (row.try_get("epoch")?, row.try_get("head")?);
    Ok(head
        .map(|head| SaleHead { epoch: Epoch(epoch.cast_unsigned()), head: EventSeq(head.cast_unsigned()) }))
}

fn append_result(range: &EventRange<'_>, head: Option<SaleHead>, is_kept: bool) -> AppendResult {
    match head {
        _ if is_kept => AppendResult::Recorded,
        Some(SaleHead { epoch, head }) if epoch == range.epoch => {
            if head < range.before {
                AppendResult::Behind(head)
            } else {
                AppendResult::Ahead(head)
            }
        }
        _ => AppendResult::StaleEpoch,
    }
}
