//! Checks periodically whether this instance still has the claim. A failed append shows a lost claim, too, but an instance that
//! only answers queries would keep answering from an old state.

use super::ANSWER_TIMEOUT;
use super::claim::find_own_epoch;
use super::connect::with_timeout;
use super::reader::PostgresReader;
use std::time::Duration;
use tokio::sync::watch;

/// How long an instance may answer from a state that another one has changed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Becomes true when another instance has claimed the ledger after `holder` did.
pub(super) fn watch_claim(reader: &PostgresReader, holder: &str) -> watch::Receiver<bool> {
    let (lost, watched) = watch::channel(false);
    let (pool, holder) = (reader.pool().clone(), holder.to_owned());
    reader.runtime().handle().spawn(async move {
        while !lost.is_closed() {
            tokio::time::sleep(POLL_INTERVAL).await;
            let looked = with_timeout(ANSWER_TIMEOUT, async {
                let mut connection = pool.acquire().await?;
                let epoch = find_own_epoch(&mut connection, &holder).await;
                connection.mark_replied(&epoch);
                epoch
            });
            match looked.await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    lost.send_replace(true);
                    return;
                }
                // Whether the ledger can be written is for the recorder to find out.
                Err(error) => tracing::debug!(%error, "the claim of the ledger cannot be read"),
            }
        }
    });
    watched
}
