//! Appends the batches of an instance that decides alone: one statement, one round trip, one commit. It never waits longer than
//! its callers do. After a broken connection it tries again, under a new epoch (`append_with_retries`).

use super::ANSWER_TIMEOUT;
use super::claim::{ClaimedSale, LEDGER_ROW, LedgerClaim, claim_ledger, find_or_add_sale};
use super::claim_watch::watch_claim;
use super::connect::{PostgresAddress, with_timeout};
use super::entry_columns::EntryColumns;
use super::reader::PostgresReader;
use crate::batch::Batch;
use crate::record::row::{event_seq, row_key, sale_number};
use crate::record::{LedgerRecorder, RecordError};
use sale::SaleId;
use sqlx::postgres::PgDatabaseError;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::sync::watch::Receiver;

/// Between two tries to reach a database that restarts.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Writes all rows of a batch, or none: it locks the epochs first, in one order for all writers, and inserts only when each is
/// as expected. It waits for an epoch that is being raised, and then reads the new one.
const APPEND: &str = "
INSERT INTO ledger_entries (key, at, body, crc)
SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BYTEA[], $4::BIGINT[])
WHERE (
    SELECT count(*) FROM (
        SELECT no FROM ledger_epochs
        WHERE (no, epoch) IN (SELECT * FROM unnest($5::BIGINT[], $6::BIGINT[]))
        ORDER BY no
        FOR SHARE
    ) AS held
) = cardinality($5)";

/// No event has this key; the row is rolled back.
pub(super) const PROBE_ROW: &str = "INSERT INTO ledger_entries (key, at, body, crc) VALUES (0, 0, '', 0)";

const COUNT: &str = "SELECT count(*) FROM ledger_entries WHERE key = ANY($1)";

/// The writing side of a ledger that this process has claimed; see [`crate::start_on_postgres`].
pub struct PostgresRecorder {
    address: PostgresAddress,
    claim: LedgerClaim,
    /// `None` at first and after a failure, which leaves a connection in an unknown state.
    connection: Option<PgConnection>,
    /// Becomes true when another instance has claimed the ledger.
    taken_over: Receiver<bool>,
    is_taken_over: bool,
}

/// A batch by column, as the statement takes it.
#[derive(Default)]
struct BatchColumns {
    rows: EntryColumns,
    /// The epochs under which they were decided.
    nos: Vec<i64>,
    epochs: Vec<i64>,
}

impl PostgresRecorder {
    /// Claims the ledger that `reader` reads: the instance that wrote before is refused from now on.
    ///
    /// # Errors
    /// When there is no ledger, or the database cannot be reached.
    pub async fn claim(address: &PostgresAddress, reader: &PostgresReader) -> Result<Self, RecordError> {
        let entered = address.clone();
        let claim = reader.runtime().run(async move { claim_ledger(&entered).await }).await?;
        let lost = watch_claim(reader, claim.holder());
        Ok(Self { address: address.clone(), claim, connection: None, taken_over: lost, is_taken_over: false })
    }

    /// Tries until the batch is recorded or refused; the caller limits the time. After a broken connection, a new epoch
    /// settles whether the batch was recorded.
    async fn append_with_retries(&mut self, batch: &Batch) -> Result<(), RecordError> {
        let mut is_unsettled = false;
        loop {
            let tried = if is_unsettled {
                self.append_after_disconnect(batch).await
            } else {
                self.append_once(batch).await
            };
            match tried {
                Err(RecordError::Store(error)) if is_disconnected(error.as_ref()) => {
                    self.connection = None;
                    is_unsettled = true;
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                settled => return settled,
            }
        }
    }

    async fn append_after_disconnect(&mut self, batch: &Batch) -> Result<(), RecordError> {
        self.renew_claim().await?;
        if self.is_recorded(batch).await? { Ok(()) } else { self.append_once(batch).await }
    }

    async fn append_once(&mut self, batch: &Batch) -> Result<(), RecordError> {
        let connection = ensure_connected(&mut self.connection, &self.address).await?;
        let mut fresh: Vec<(SaleId, ClaimedSale)> = Vec::new();
        let unknown = batch.sales.iter().filter(|(sale, _)| !self.claim.sales.contains_key(sale));
        let unknown: Vec<SaleId> = unknown.map(|(sale, _)| *sale).collect();
        let inserted = if unknown.is_empty() {
            insert_columns(connection, BatchColumns::from_batch(&self.claim, &fresh, batch)).await
        } else {
            let mut transaction = connection.begin().await?;
            for sale in unknown {
                fresh.push((sale, find_or_add_sale(&mut transaction, sale).await?));
            }
            let columns = BatchColumns::from_batch(&self.claim, &fresh, batch);
            match insert_columns(&mut transaction, columns).await {
                Ok(()) => Ok(transaction.commit().await?),
                refused => refused,
            }
        };
        inserted.map_err(|error| self.explain_collision(error, &fresh))?;
        self.claim.sales.extend(fresh);
        Ok(())
    }

    /// Whether a batch whose append broke off was recorded: all of it was, or nothing. Call it under a new epoch.
    async fn is_recorded(&mut self, batch: &Batch) -> Result<bool, RecordError> {
        let connection = ensure_connected(&mut self.connection, &self.address).await?;
        let Some((sale, entries)) = batch.sales.iter().find(|(_, entries)| !entries.is_empty()) else {
            return Ok(true);
        };
        let no = match self.claim.sales.get(sale) {
            Some(known) => known.no,
            None => {
                let mut transaction = connection.begin().await?;
                let known = find_or_add_sale(&mut transaction, *sale).await?;
                transaction.rollback().await?;
                known.no
            }
        };
        let keys: Vec<i64> = entries.iter().map(|entry| row_key(no, entry.seq)).collect();
        let kept: i64 = sqlx::query_scalar(COUNT).bind(&keys).fetch_one(connection).await?;
        Ok(kept > 0)
    }

    async fn renew_claim(&mut self) -> Result<(), RecordError> {
        let connection = ensure_connected(&mut self.connection, &self.address).await?;
        self.claim.renew(connection).await
    }

    /// The sale and event of a key that the database refused.
    fn explain_collision(&self, error: RecordError, fresh: &[(SaleId, ClaimedSale)]) -> RecordError {
        let RecordError::Store(source) = &error else { return error };
        let Some(key) = colliding_key(source.as_ref()) else { return error };
        let known = self.claim.sales.iter().chain(fresh.iter().map(|(sale, known)| (sale, known)));
        match known.into_iter().find(|(_, known)| known.no == sale_number(key)) {
            Some((sale, _)) => RecordError::Collision { sale: *sale, seq: event_seq(key) },
            None => error,
        }
    }

    /// Drops a connection whose state is unknown, and remembers for good that another instance has the ledger.
    fn settle_result(&mut self, result: Result<(), RecordError>) -> Result<(), RecordError> {
        if let Err(error) = &result {
            self.connection = None;
            self.is_taken_over |= matches!(error, RecordError::TakenOver);
        }
        result
    }
}

impl LedgerRecorder for PostgresRecorder {
    async fn append(&mut self, batch: &Batch) -> Result<(), RecordError> {
        if self.is_taken_over {
            return Err(RecordError::TakenOver);
        }
        let appended = with_timeout(ANSWER_TIMEOUT, self.append_with_retries(batch)).await;
        self.settle_result(appended)
    }

    /// Begins a new epoch, so that a failed append that is still on its way will be refused, and inserts a row on trial.
    async fn probe(&mut self) -> Result<(), RecordError> {
        if self.is_taken_over {
            return Err(RecordError::TakenOver);
        }
        let probed = with_timeout(ANSWER_TIMEOUT, async {
            self.renew_claim().await?;
            let mut transaction =
                ensure_connected(&mut self.connection, &self.address).await?.begin().await?;
            sqlx::query(PROBE_ROW).execute(&mut *transaction).await?;
            Ok(transaction.rollback().await?)
        });
        let probed = probed.await;
        self.settle_result(probed)
    }

    async fn wait_until_taken_over(&mut self) {
        if self.is_taken_over || self.taken_over.wait_for(|lost| *lost).await.is_ok() {
            self.is_taken_over = true;
        } else {
            // The watch has ended.
            std::future::pending::<()>().await;
        }
    }
}

impl BatchColumns {
    /// `fresh` are sales that the claim does not know yet.
    fn from_batch(claim: &LedgerClaim, fresh: &[(SaleId, ClaimedSale)], batch: &Batch) -> Self {
        let mut columns = Self::default();
        columns.push_epoch(ClaimedSale { no: LEDGER_ROW, epoch: claim.epoch });
        for (sale, entries) in &batch.sales {
            let fresh = || fresh.iter().find(|(id, _)| id == sale).map(|(_, known)| known);
            if let Some(known) = claim.sales.get(sale).or_else(fresh) {
                columns.push_epoch(*known);
                entries.iter().for_each(|entry| columns.rows.push(known.no, entry));
            }
        }
        columns
    }

    fn push_epoch(&mut self, known: ClaimedSale) {
        self.nos.push(known.no);
        self.epochs.push(known.epoch);
    }
}

/// The connection, made if there is none.
async fn ensure_connected<'c>(
    connection: &'c mut Option<PgConnection>,
    address: &PostgresAddress,
) -> Result<&'c mut PgConnection, RecordError> {
    let made = match connection.take() {
        Some(made) => made,
        None => address.connect().await?,
    };
    Ok(connection.insert(made))
}

async fn insert_columns(connection: &mut PgConnection, columns: BatchColumns) -> Result<(), RecordError> {
    let rows = columns.rows.keys.len() as u64;
    let done = sqlx::query(APPEND)
        .bind(columns.rows.keys)
        .bind(columns.rows.ats)
        .bind(columns.rows.bodies)
        .bind(columns.rows.crcs)
        .bind(columns.nos)
        .bind(columns.epochs)
        .execute(connection)
        .await?;
    if done.rows_affected() == rows { Ok(()) } else { Err(RecordError::TakenOver) }
}

/// True when the connection broke, or the database has none to give, is going down or coming up: then a retry makes sense.
pub(crate) fn is_disconnected(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => true,
        // Connection exceptions; too many connections; shut down, crashed, starting, dropped, idle.
        Some(sqlx::Error::Database(error)) => error
            .code()
            .is_some_and(|code| ["08", "53300", "57P"].iter().any(|class| code.starts_with(class))),
        _ => false,
    }
}

/// The key that the ledger has already.
fn colliding_key(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<i64> {
    let Some(sqlx::Error::Database(error)) = error.downcast_ref::<sqlx::Error>() else { return None };
    let error = error.try_downcast_ref::<PgDatabaseError>()?;
    if !(error.code() == "23505" && error.table() == Some("ledger_entries")) {
        return None;
    }
    // "Key (key)=(1099511627777) already exists."
    let digits = error.detail()?.split_once("=(")?.1.split_once(')')?.0;
    digits.parse().ok()
}
