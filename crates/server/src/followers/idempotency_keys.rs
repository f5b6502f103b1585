//! The follower for idempotency keys, where processes share the tables: reads what others recorded, a few times a second, and tells
//! the guard which keys were used for what. The law of one sale does not know the keys of another, and the guard only those that
//! it saw; so a key that was used at one process is noticed at the others a moment later. It writes nothing.

use crate::shop::idempotency_keys::IdempotencyKeys;
use crate::shop::orders::IdempotencyWarmup;
use engine::Engine;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// After the ledger could not be read.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Goes on from what was recalled at the start, until told to stop.
pub async fn follow_keys(
    engine: Engine,
    guard: Arc<IdempotencyKeys>,
    mut recall: IdempotencyWarmup,
    mut stop: watch::Receiver<bool>,
) {
    let mut bell = engine.views().subscribe_changes();
    loop {
        bell.borrow_and_update();
        let read = tokio::select! {
            read = recall.read_new_keys(&engine, &guard) => read,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let rest = match read {
            Ok(()) => POLL_INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "the keys of other instances cannot be read; trying again");
                RETRY_INTERVAL
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        if rest == POLL_INTERVAL {
            tokio::select! {
                rung = bell.changed() => if rung.is_err() { return },
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }
}
