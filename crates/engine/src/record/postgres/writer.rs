//! Appends batches: one statement, one way there and back, one commit. It never waits longer than its callers would.

use super::ANSWER_LIMIT;
use super::claim::{Claim, Known, WHOLE, know, take_over};
use super::connect::{Address, in_time};
use super::reader::PostgresReader;
use super::rows::Rows;
use super::watch::watch;
use crate::record::row::{key, no_of, seq_of};
use crate::record::{Batch, Record, RecordError};
use sale::SaleId;
use sqlx::postgres::PgDatabaseError;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::sync::watch::Receiver;

/// Between two tries to get through to a database that restarts.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// All rows of a batch, or none: the epochs are locked first, in one order for all who lock them, and a row is inserted only
/// when all of them are what they were. One whose raising is under way is waited for, and then looked at as it has become.
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

/// A row that no event ever has; it is taken back.
pub(super) const TRY: &str = "INSERT INTO ledger_entries (key, at, body, crc) VALUES (0, 0, '', 0)";

const COUNT: &str = "SELECT count(*) FROM ledger_entries WHERE key = ANY($1)";

/// The writing side of a ledger that this process has claimed; see [`crate::start_on_postgres`].
pub struct PostgresRecorder {
    address: Address,
    claim: Claim,
    /// None at first and after a failure: what it was doing then is unknown.
    connection: Option<PgConnection>,
    /// Becomes true when somebody else has the ledger.
    lost: Receiver<bool>,
    is_taken_over: bool,
}

/// A batch by column, as the statement takes it.
#[derive(Default)]
struct Columns {
    rows: Rows,
    /// The epochs under which they were decided.
    nos: Vec<i64>,
    epochs: Vec<i64>,
}

impl PostgresRecorder {
    /// Claims the ledger that `reader` reads: whoever wrote before is refused from now on.
    ///
    /// # Errors
    /// When there is no ledger, or the database cannot be reached.
    pub async fn claim(address: &Address, reader: &PostgresReader) -> Result<Self, RecordError> {
        let entered = address.clone();
        let claim = reader.room().run(async move { take_over(&entered).await }).await?;
        let lost = watch(reader, claim.holder());
        Ok(Self { address: address.clone(), claim, connection: None, lost, is_taken_over: false })
    }

    /// Tries until the batch is recorded, or was refused, or the caller loses patience. A connection that broke says nothing of
    /// the batch: a new epoch settles whether it was kept.
    async fn append_surely(&mut self, batch: &Batch) -> Result<(), RecordError> {
        let mut is_unsettled = false;
        loop {
            let tried =
                if is_unsettled { self.append_again(batch).await } else { self.append_once(batch).await };
            match tried {
                Err(RecordError::Store(error)) if is_cut(error.as_ref()) => {
                    self.connection = None;
                    is_unsettled = true;
                    tokio::time::sleep(RETRY_EVERY).await;
                }
                settled => return settled,
            }
        }
    }

    async fn append_again(&mut self, batch: &Batch) -> Result<(), RecordError> {
        self.renew().await?;
        if self.is_kept(batch).await? { Ok(()) } else { self.append_once(batch).await }
    }

    async fn append_once(&mut self, batch: &Batch) -> Result<(), RecordError> {
        let connection = connected(&mut self.connection, &self.address).await?;
        let mut fresh: Vec<(SaleId, Known)> = Vec::new();
        let unknown = batch.sales.iter().filter(|(sale, _)| !self.claim.sales.contains_key(sale));
        let unknown: Vec<SaleId> = unknown.map(|(sale, _)| *sale).collect();
        let inserted = if unknown.is_empty() {
            insert(connection, Columns::of(&self.claim, &fresh, batch)).await
        } else {
            let mut transaction = connection.begin().await?;
            for sale in unknown {
                fresh.push((sale, know(&mut transaction, sale).await?));
            }
            let columns = Columns::of(&self.claim, &fresh, batch);
            match insert(&mut transaction, columns).await {
                Ok(()) => Ok(transaction.commit().await?),
                refused => refused,
            }
        };
        inserted.map_err(|error| self.told(error, &fresh))?;
        self.claim.sales.extend(fresh);
        Ok(())
    }

    /// Whether a batch whose append broke off was kept: all of it was, or nothing. Call it under a new epoch.
    async fn is_kept(&mut self, batch: &Batch) -> Result<bool, RecordError> {
        let connection = connected(&mut self.connection, &self.address).await?;
        let Some((sale, entries)) = batch.sales.iter().find(|(_, entries)| !entries.is_empty()) else {
            return Ok(true);
        };
        let no = match self.claim.sales.get(sale) {
            Some(known) => known.no,
            None => {
                let mut transaction = connection.begin().await?;
                let known = know(&mut transaction, *sale).await?;
                transaction.rollback().await?;
                known.no
            }
        };
        let keys: Vec<i64> = entries.iter().map(|entry| key(no, entry.seq)).collect();
        let kept: i64 = sqlx::query_scalar(COUNT).bind(&keys).fetch_one(connection).await?;
        Ok(kept > 0)
    }

    async fn renew(&mut self) -> Result<(), RecordError> {
        let connection = connected(&mut self.connection, &self.address).await?;
        self.claim.renew(connection).await
    }

    /// A refused key by its sale and number.
    fn told(&self, error: RecordError, fresh: &[(SaleId, Known)]) -> RecordError {
        let RecordError::Store(source) = &error else { return error };
        let Some(key) = refused_key(source.as_ref()) else { return error };
        let known = self.claim.sales.iter().chain(fresh.iter().map(|(sale, known)| (sale, known)));
        match known.into_iter().find(|(_, known)| known.no == no_of(key)) {
            Some((sale, _)) => RecordError::Collision { sale: *sale, seq: seq_of(key) },
            None => error,
        }
    }

    /// Lets go of a connection whose state is unknown, and remembers for good that the ledger is another's.
    fn settled(&mut self, result: Result<(), RecordError>) -> Result<(), RecordError> {
        if let Err(error) = &result {
            self.connection = None;
            self.is_taken_over |= matches!(error, RecordError::TakenOver);
        }
        result
    }
}

impl Record for PostgresRecorder {
    async fn append(&mut self, batch: &Batch) -> Result<(), RecordError> {
        if self.is_taken_over {
            return Err(RecordError::TakenOver);
        }
        let appended = in_time(ANSWER_LIMIT, self.append_surely(batch)).await;
        self.settled(appended)
    }

    /// Begins a new epoch, so that a failed append that is still on its way will be refused, and tries whether a row fits.
    async fn probe(&mut self) -> Result<(), RecordError> {
        if self.is_taken_over {
            return Err(RecordError::TakenOver);
        }
        let probed = in_time(ANSWER_LIMIT, async {
            self.renew().await?;
            let mut transaction = connected(&mut self.connection, &self.address).await?.begin().await?;
            sqlx::query(TRY).execute(&mut *transaction).await?;
            Ok(transaction.rollback().await?)
        });
        let probed = probed.await;
        self.settled(probed)
    }

    async fn taken_over(&mut self) {
        if self.is_taken_over || self.lost.wait_for(|lost| *lost).await.is_ok() {
            self.is_taken_over = true;
        } else {
            // Nobody watches any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Columns {
    /// `fresh` are sales that the claim does not know yet.
    fn of(claim: &Claim, fresh: &[(SaleId, Known)], batch: &Batch) -> Self {
        let mut columns = Self::default();
        columns.claim(Known { no: WHOLE, epoch: claim.epoch });
        for (sale, entries) in &batch.sales {
            let fresh = || fresh.iter().find(|(id, _)| id == sale).map(|(_, known)| known);
            if let Some(known) = claim.sales.get(sale).or_else(fresh) {
                columns.claim(*known);
                entries.iter().for_each(|entry| columns.rows.push(known.no, entry));
            }
        }
        columns
    }

    fn claim(&mut self, known: Known) {
        self.nos.push(known.no);
        self.epochs.push(known.epoch);
    }
}

/// The connection, made if there is none.
async fn connected<'c>(
    connection: &'c mut Option<PgConnection>,
    address: &Address,
) -> Result<&'c mut PgConnection, RecordError> {
    let made = match connection.take() {
        Some(made) => made,
        None => address.connect().await?,
    };
    Ok(connection.insert(made))
}

async fn insert(connection: &mut PgConnection, columns: Columns) -> Result<(), RecordError> {
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

/// True when the connection broke, or the database has none to give, is going down or coming up: then it may be asked again.
pub(crate) fn is_cut(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
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
fn refused_key(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<i64> {
    let Some(sqlx::Error::Database(error)) = error.downcast_ref::<sqlx::Error>() else { return None };
    let error = error.try_downcast_ref::<PgDatabaseError>()?;
    if !(error.code() == "23505" && error.table() == Some("ledger_entries")) {
        return None;
    }
    // "Key (key)=(1099511627777) already exists."
    let digits = error.detail()?.split_once("=(")?.1.split_once(')')?.0;
    digits.parse().ok()
}
