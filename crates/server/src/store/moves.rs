//! The `moves` table: its row marks a database into which a data folder is being moved. A process that finds it sells nothing from the database.

use super::{Store, StoreError};
use sale::Timestamp;
use uuid::Uuid;

pub(super) const STATEMENTS: &[&str] = &[BEGIN, FIND, FINISH];

const BEGIN: &str = "
INSERT INTO moves (id, run, started_at) VALUES (1, $1, $2)
ON CONFLICT (id) DO UPDATE SET run = excluded.run, started_at = excluded.started_at";

const FIND: &str = "
SELECT run FROM moves";

// A statement of a run that was killed may arrive late: it must not take away the mark of the next run.
const FINISH: &str = "
DELETE FROM moves WHERE run = $1";

/// Marks the database for a run of a move, also when an earlier run has.
///
/// # Errors
/// When the database fails.
pub async fn begin(store: &Store, run: Uuid, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(BEGIN).bind(run.to_string()).bind(now.0).execute(store.writer()).await?;
    Ok(())
}

/// Whether a move into this database has begun and not ended. The tables must be those of this version.
///
/// # Errors
/// When the database fails.
pub async fn is_unfinished(store: &Store) -> Result<bool, StoreError> {
    let run: Option<String> = sqlx::query_scalar(FIND).fetch_optional(store.writer()).await?;
    Ok(run.is_some())
}

/// Takes the mark of this run away. Everything else of the move must be durable. False when another run has marked the database since.
///
/// # Errors
/// When the database fails.
pub async fn finish(store: &Store, run: Uuid) -> Result<bool, StoreError> {
    let done = sqlx::query(FINISH).bind(run.to_string()).execute(store.writer()).await?;
    Ok(done.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_latest_run_takes_its_mark_away() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        assert!(!is_unfinished(&store).await.unwrap());
        let (killed, repeated) = (Uuid::from_u128(1), Uuid::from_u128(2));
        begin(&store, killed, Timestamp(1)).await.unwrap();
        begin(&store, repeated, Timestamp(2)).await.unwrap();
        assert!(!finish(&store, killed).await.unwrap() && is_unfinished(&store).await.unwrap());
        assert!(finish(&store, repeated).await.unwrap() && !is_unfinished(&store).await.unwrap());
    }
}
