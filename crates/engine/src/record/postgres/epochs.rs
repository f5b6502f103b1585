//! The epochs of sales that a Valkey server decides. They are stored beside the ledger, because its writers lock them. Raising an
//! epoch waits for the writers in flight and determines the sale's head again. It never writes an event.

use super::ANSWER_TIMEOUT;
use super::claim::find_or_add_sale;
use super::connect::with_timeout;
use super::reader::PostgresReader;
use crate::batch::Epoch;
use crate::record::{EpochStore, ReadError, RecordError};
use futures::future::BoxFuture;
use sale::SaleId;
use sqlx::{Connection as _, Row};
use std::sync::Arc;

/// The pool's connections are read-only by default.
const BEGIN: &str = "BEGIN READ WRITE";

const NUMBER: &str = "SELECT no FROM ledger_sales JOIN ledger_epochs USING (no) WHERE id = $1::TEXT::UUID";

/// Two processes that begin the same sale wait for each other. Nothing else uses this number.
const LOCK_NEW: &str = "SELECT pg_advisory_xact_lock(4918020217483527240)";

const FIND: &str = "
SELECT epoch FROM ledger_sales JOIN ledger_epochs USING (no) WHERE id = $1::TEXT::UUID";

const ALL: &str = "
SELECT id::TEXT AS id, COALESCE(epoch, 0) AS epoch
FROM ledger_sales LEFT JOIN ledger_epochs USING (no)
ORDER BY ledger_sales.no";

/// Waits for the sale's writers. Then the ledger has all that was ever written under the old epoch.
const LOCK: &str = "SELECT epoch FROM ledger_epochs WHERE no = $1 FOR UPDATE";

const RAISE: &str = "
UPDATE ledger_epochs
SET epoch = epoch + 1, head = COALESCE((
    SELECT MAX(key) & ((1::BIGINT << 40) - 1) FROM ledger_entries WHERE key > $1 << 40 AND key < ($1 + 1) << 40
), 0)
WHERE no = $1
RETURNING epoch";

pub struct PostgresEpochs {
    reader: Arc<PostgresReader>,
}

impl PostgresEpochs {
    /// The epochs beside the ledger that `reader` reads.
    #[must_use]
    pub fn new(reader: Arc<PostgresReader>) -> Self {
        Self { reader }
    }
}

impl EpochStore for PostgresEpochs {
    fn load_epoch(&self, sale: SaleId) -> BoxFuture<'_, Result<Option<Epoch>, ReadError>> {
        let pool = self.reader.pool().clone();
        Box::pin(self.reader.runtime().run(async move {
            let id = sale.0.to_string();
            let found =
                with_timeout(ANSWER_TIMEOUT, sqlx::query_scalar(FIND).bind(id).fetch_optional(&pool)).await?;
            Ok(found.map(|epoch: i64| Epoch(epoch.cast_unsigned())))
        }))
    }

    fn list_epochs(&self) -> BoxFuture<'_, Result<Vec<(SaleId, Epoch)>, ReadError>> {
        let pool = self.reader.pool().clone();
        Box::pin(self.reader.runtime().run(async move {
            let rows = with_timeout(ANSWER_TIMEOUT, sqlx::query(ALL).fetch_all(&pool)).await?;
            let epochs = rows.iter().map(|row| {
                let (id, epoch): (String, i64) = (row.try_get("id")?, row.try_get("epoch")?);
                let id = id.parse().map_err(|_| sqlx::Error::Decode("a sale's id is no UUID".into()))?;
                Ok((id, Epoch(epoch.cast_unsigned())))
            });
            Ok(epochs.collect::<Result<_, sqlx::Error>>()?)
        }))
    }

    fn raise_epoch(&self, sale: SaleId) -> BoxFuture<'_, Result<Epoch, ReadError>> {
        let pool = self.reader.pool().clone();
        Box::pin(self.reader.runtime().run(with_timeout(ANSWER_TIMEOUT, async move {
            let mut connection = pool.acquire().await?;
            // sqlx does not undo a transaction that is dropped before its beginning was replied to.
            connection.enter_transaction();
            let mut transaction = connection.begin_with(BEGIN).await?;
            let no = match sqlx::query_scalar::<_, i64>(NUMBER)
                .bind(sale.0.to_string())
                .fetch_optional(&mut *transaction)
                .await?
            {
                Some(no) => no,
                None => {
                    sqlx::query(LOCK_NEW).execute(&mut *transaction).await?;
                    find_or_add_sale(&mut transaction, sale).await.map_err(into_read_error)?.no
                }
            };
            sqlx::query(LOCK).bind(no).execute(&mut *transaction).await?;
            let epoch: i64 = sqlx::query_scalar(RAISE).bind(no).fetch_one(&mut *transaction).await?;
            let committed = transaction.commit().await;
            connection.mark_replied(&committed);
            committed?;
            Ok(Epoch(epoch.cast_unsigned()))
        })))
    }
}

fn into_read_error(error: RecordError) -> ReadError {
    match error {
        RecordError::Ledger(error) => error,
        other => ReadError::Store(Box::new(other)),
    }
}
