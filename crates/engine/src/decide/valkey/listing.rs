//! Finds sales that another process has announced: lists the ledger's sales in a task beside the deciding. No batch waits for
//! it, except one that looks for an unknown order.

use crate::batch::Epoch;
use crate::error_text::describe_error;
use crate::record::{EpochStore, ReadError};
use sale::{SaleId, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often the sales are listed.
const LIST_INTERVAL_MS: i64 = 1_000;
/// How old a list may be for a caller that waits for it.
const FRESH_MS: i64 = 200;
/// How long that caller waits.
const LIST_TIMEOUT: Duration = Duration::from_millis(300);
/// How long no caller waits after one has waited in vain: while the database is slow, look-ups of unknown orders must not hold up
/// the decisions of all sales.
const NO_WAIT_MS: i64 = 5_000;
/// How often a running list is polled.
const POLL_INTERVAL_MS: i64 = 20;

type ListTask = JoinHandle<Result<Vec<(SaleId, Epoch)>, ReadError>>;

#[derive(Default)]
pub(super) struct SaleDiscovery {
    task: Option<ListTask>,
    /// When it was last listed.
    at: Timestamp,
    /// When to poll or list again.
    due: Timestamp,
    /// Until then no caller waits.
    no_wait_until: Timestamp,
}

impl SaleDiscovery {
    /// When to poll or list again.
    pub(super) fn next_poll_at(&self) -> Timestamp {
        self.due
    }

    /// The listed sales that are not in `known`; none while a list is running. Starts a new list when it is time.
    pub(super) async fn take_new_sales<K>(
        &mut self,
        now: Timestamp,
        epochs: &Arc<dyn EpochStore>,
        known: &HashMap<SaleId, K>,
    ) -> Vec<SaleId> {
        if self.task.is_none() && now.ms_since(self.at) >= LIST_INTERVAL_MS {
            self.start_listing(now, epochs);
        }
        let new_sales = match self.task.take_if(|task| task.is_finished()) {
            Some(task) => unknown_sales(task, known).await,
            None => Vec::new(),
        };
        self.due = if self.task.is_some() {
            now.plus_ms(POLL_INTERVAL_MS)
        } else {
            self.at.plus_ms(LIST_INTERVAL_MS)
        };
        new_sales
    }

    /// The same for a caller that waits for the list.
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
        if let Some(task) = &mut self.task {
            let finished = async {
                while !task.is_finished() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            if now >= self.no_wait_until && tokio::time::timeout(LIST_TIMEOUT, finished).await.is_err() {
                self.no_wait_until = now.plus_ms(NO_WAIT_MS);
            }
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
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn unknown_sales<K>(task: ListTask, known: &HashMap<SaleId, K>) -> Vec<SaleId> {
    match task.await {
        Ok(Ok(sales)) => sales.into_iter().map(|(id, _)| id).filter(|id| !known.contains_key(id)).collect(),
        Ok(Err(error)) => {
            tracing::debug!(
                error = describe_error(&error),
                "the sales of the ledger cannot be listed; retrying in a second"
            );
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}
