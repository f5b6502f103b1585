//! The clock checkpoint: how far time has come, where the machine's clock does not say so; see the same of a `ledger.db`. It is no event: nothing was decided
//! at that moment.

use super::ANSWER_TIMEOUT;
use super::connect::{PostgresAddress, with_timeout};
use super::reader::PostgresReader;
use crate::record::{ReadError, RecordError};
use sale::Timestamp;
use sqlx::Connection as _;

/// Tables that an older version made lack it until the next migration.
const FIND: &str = "SELECT to_regclass('ledger_reached') IS NOT NULL";

const READ: &str = "SELECT at FROM ledger_reached";

const WRITE: &str = "
INSERT INTO ledger_reached (id, at) VALUES (1, $1)
ON CONFLICT (id) DO UPDATE SET at = GREATEST(ledger_reached.at, excluded.at)";

impl PostgresReader {
    /// The latest moment that was written; the beginning of time where there is none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn load_reached_time(&self) -> Result<Timestamp, ReadError> {
        let pool = self.pool().clone();
        let read = async move {
            if !sqlx::query_scalar::<_, bool>(FIND).fetch_one(&pool).await? {
                return Ok(Timestamp::default());
            }
            let at: Option<i64> = sqlx::query_scalar(READ).fetch_optional(&pool).await?;
            Ok(Timestamp(at.unwrap_or_default()))
        };
        self.runtime().run::<_, ReadError>(with_timeout(ANSWER_TIMEOUT, read)).await
    }
}

/// Writes the clock checkpoint, on a connection of its own: it is written only while the machine's clock is wrong.
///
/// # Errors
/// When the database does not answer, or is not to be written.
pub(crate) async fn write_reached_time(address: &PostgresAddress, at: Timestamp) -> Result<(), RecordError> {
    with_timeout(ANSWER_TIMEOUT, async {
        let mut connection = address.connect().await?;
        sqlx::query(WRITE).bind(at.0).execute(&mut connection).await?;
        Ok::<_, RecordError>(connection.close().await?)
    })
    .await
}
