//! The turn to write a file, for the transactions of one process. SQLite has a transaction that finds the file locked sleep and look again,
//! longer each time, whether or not the file is free meanwhile; here it is woken when the one before it has ended, in the order of asking.
//! What keeps two transactions apart is SQLite's own lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// After this wait a transaction goes on without its turn: SQLite's own lock says whether it can.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The turns of a file. Clones share them. A database has none: its writers do not wait for each other.
#[derive(Clone, Debug, Default)]
pub(super) struct WriteTurns {
    file: Option<Arc<FileTurns>>,
    /// Whether nobody waits for what this writer does.
    is_background: bool,
}

#[derive(Debug, Default)]
struct FileTurns {
    turn: Arc<Mutex<()>>,
    waits: AtomicU64,
}

/// The turn of a transaction, until it is dropped.
#[derive(Debug)]
pub(super) struct WriteTurn {
    _guard: OwnedMutexGuard<()>,
}

impl WriteTurns {
    /// The turns of a file.
    pub(super) fn of_file() -> Self {
        Self { file: Some(Arc::default()), is_background: false }
    }

    /// Whether writers take turns here.
    pub(super) fn are_taken(&self) -> bool {
        self.file.is_some()
    }

    /// The same turns for a writer for whom nobody waits.
    pub(super) fn for_background(&self) -> Self {
        Self { file: self.file.clone(), is_background: true }
    }

    /// Waits for the next turn. `None` where there are none.
    pub(super) async fn wait(&self) -> Option<WriteTurn> {
        let file = self.file.as_ref()?;
        let turn = Arc::clone(&file.turn);
        let guard = match Arc::clone(&turn).try_lock_owned() {
            Ok(guard) => guard,
            Err(_) => {
                if !self.is_background {
                    file.waits.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::timeout(WAIT_MAX, turn.lock_owned()).await.ok()?
            }
        };
        Some(WriteTurn { _guard: guard })
    }

    /// How many writers have had to wait for their turn so far, those in the background not counted.
    pub(super) fn count_waits(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.waits.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use futures::FutureExt;
    use test_servers::postgres::PostgresServer;

    #[tokio::test]
    async fn the_followers_of_a_process_take_turns_with_its_writer() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let follower = store.open_follower().await.unwrap();
        let first = store.begin().await.unwrap();
        assert!(follower.turns.wait().now_or_never().is_none(), "the file has one writer");
        assert_eq!(store.count_write_waits(), 0, "nobody waits for a follower");
        first.commit().await.unwrap();
        let second = follower.begin().await.unwrap();
        assert!(store.turns.wait().now_or_never().is_none());
        assert_eq!(follower.count_write_waits(), 1);
        // Its rollback is sent first.
        drop(second);
        store.begin().await.unwrap().commit().await.unwrap();
        assert!(follower.turns.wait().now_or_never().is_some_and(|turn| turn.is_some()));
    }

    #[tokio::test]
    async fn a_database_has_no_turns() {
        let store = Store::connect(&PostgresServer::shared().create_database()).await.unwrap();
        let _open = store.begin().await.unwrap();
        assert!(store.turns.wait().now_or_never().is_some_and(|turn| turn.is_none()));
    }
}
