//! Which sales there are, asked of the ledger beside the deciding: another process may have announced one. It keeps nobody waiting.

use crate::batch::Epoch;
use crate::record::{EpochStore, ReadError};
use sale::{SaleId, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often it is asked.
const LIST_INTERVAL_MS: i64 = 1_000;
/// How old an answer may be that somebody waits for.
const FRESH_MS: i64 = 200;
/// How long that one waits.
const LIST_TIMEOUT: Duration = Duration::from_millis(300);
/// When it is looked whether there is an answer.
const POLL_INTERVAL_MS: i64 = 20;

type ListTask = JoinHandle<Result<Vec<(SaleId, Epoch)>, ReadError>>;

/// The list of sales, as it is asked for again and again.
#[derive(Default)]
pub(super) struct SaleDiscovery {
    task: Option<ListTask>,
    /// When it was last asked for.
    at: Timestamp,
    /// When to look again.
    due: Timestamp,
}

impl SaleDiscovery {
    /// When to look again.
    pub(super) fn due(&self) -> Timestamp {
        self.due
    }

    /// Sales that are not known here, as far as there is an answer. Asks again when it is time.
    pub(super) async fn take_new_sales<K>(
        &mut self,
        now: Timestamp,
        epochs: &Arc<dyn EpochStore>,
        known: &HashMap<SaleId, K>,
    ) -> Vec<SaleId> {
        if self.task.is_none() && now.ms_since(self.at) >= LIST_INTERVAL_MS {
            self.start_listing(now, epochs);
        }
        let news = match self.task.take_if(|asked| asked.is_finished()) {
            Some(asked) => unknown_sales(asked, known).await,
            None => Vec::new(),
        };
        self.due = if self.task.is_some() {
            now.plus_ms(POLL_INTERVAL_MS)
        } else {
            self.at.plus_ms(LIST_INTERVAL_MS)
        };
        news
    }

    /// The same for somebody who waits for it.
    pub(super) async fn wait_for_new_sales<K>(
        &mut self,
        now: Timestamp,
        epochs: &Arc<dyn EpochStore>,
        known: &HashMap<SaleId, K>,
    ) -> Vec<SaleId> {
        if self.task.is_none() && now.ms_since(self.at) < FRESH_MS {
            return Vec::new();
        }
        if self.task.is_none() {
            self.start_listing(now, epochs);
        }
        if let Some(asked) = &mut self.task {
            let finished = async {
                while !asked.is_finished() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let _late = tokio::time::timeout(LIST_TIMEOUT, finished).await;
        }
        self.take_new_sales(now, epochs, known).await
    }

    fn start_listing(&mut self, now: Timestamp, epochs: &Arc<dyn EpochStore>) {
        let epochs = Arc::clone(epochs);
        self.at = now;
        self.task = Some(tokio::spawn(async move { epochs.list_epochs().await }));
    }
}

impl Drop for SaleDiscovery {
    fn drop(&mut self) {
        if let Some(asked) = &self.task {
            asked.abort();
        }
    }
}

async fn unknown_sales<K>(asked: ListTask, known: &HashMap<SaleId, K>) -> Vec<SaleId> {
    match asked.await {
        Ok(Ok(sales)) => sales.into_iter().map(|(id, _)| id).filter(|id| !known.contains_key(id)).collect(),
        Ok(Err(error)) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "nobody can say which sales there are");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}
