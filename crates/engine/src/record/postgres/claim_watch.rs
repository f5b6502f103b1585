//! Looks now and then whether the ledger is still ours. An instance that records would notice by itself; one that is only asked, or
//! that has nothing to sell, would go on telling how things were.

use super::ANSWER_TIMEOUT;
use super::claim::find_own_epoch;
use super::connect::with_timeout;
use super::reader::PostgresReader;
use std::time::Duration;
use tokio::sync::watch;

/// So long may an instance tell what another one has changed already.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Becomes true when another instance has claimed the ledger after `holder` did.
pub(super) fn watch_claim(reader: &PostgresReader, holder: &str) -> watch::Receiver<bool> {
    let (lost, told) = watch::channel(false);
    let (pool, holder) = (reader.pool().clone(), holder.to_owned());
    reader.runtime().handle().spawn(async move {
        while !lost.is_closed() {
            tokio::time::sleep(POLL_INTERVAL).await;
            let looked = with_timeout(ANSWER_TIMEOUT, async {
                let mut connection = pool.acquire().await?;
                find_own_epoch(&mut connection, &holder).await
            });
            match looked.await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    lost.send_replace(true);
                    return;
                }
                // Whether it can be written is told by those who write.
                Err(error) => tracing::debug!(%error, "nobody can say whose the ledger is"),
            }
        }
    });
    told
}
