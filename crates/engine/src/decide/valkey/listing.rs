//! Which sales there are, asked of the ledger beside the deciding: another process may have announced one. It keeps nobody waiting.

use crate::record::{Epoch, Epochs, ReadError};
use sale::{SaleId, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often it is asked.
const LIST_EVERY_MS: i64 = 1_000;
/// How old an answer may be that somebody waits for.
const FRESH_MS: i64 = 200;
/// How long that one waits.
const PATIENCE: Duration = Duration::from_millis(300);
/// When it is looked whether there is an answer.
const LOOK_MS: i64 = 20;

type Asked = JoinHandle<Result<Vec<(SaleId, Epoch)>, ReadError>>;

/// The list of sales, as it is asked for again and again.
#[derive(Default)]
pub(super) struct Listing {
    asked: Option<Asked>,
    /// When it was last asked for.
    at: Timestamp,
    /// When to look again.
    due: Timestamp,
}

impl Listing {
    /// When to look again.
    pub(super) fn due(&self) -> Timestamp {
        self.due
    }

    /// Sales that are not known here, as far as there is an answer. Asks again when it is time.
    pub(super) async fn news<K>(
        &mut self,
        now: Timestamp,
        epochs: &Arc<dyn Epochs>,
        known: &HashMap<SaleId, K>,
    ) -> Vec<SaleId> {
        if self.asked.is_none() && now.ms_since(self.at) >= LIST_EVERY_MS {
            self.ask(now, epochs);
        }
        let news = match self.asked.take_if(|asked| asked.is_finished()) {
            Some(asked) => unknown(asked, known).await,
            None => Vec::new(),
        };
        self.due = if self.asked.is_some() { now.plus_ms(LOOK_MS) } else { self.at.plus_ms(LIST_EVERY_MS) };
        news
    }

    /// The same for somebody who waits for it.
    pub(super) async fn fresh<K>(
        &mut self,
        now: Timestamp,
        epochs: &Arc<dyn Epochs>,
        known: &HashMap<SaleId, K>,
    ) -> Vec<SaleId> {
        if self.asked.is_none() && now.ms_since(self.at) < FRESH_MS {
            return Vec::new();
        }
        if self.asked.is_none() {
            self.ask(now, epochs);
        }
        if let Some(asked) = &mut self.asked {
            let finished = async {
                while !asked.is_finished() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let _late = tokio::time::timeout(PATIENCE, finished).await;
        }
        self.news(now, epochs, known).await
    }

    fn ask(&mut self, now: Timestamp, epochs: &Arc<dyn Epochs>) {
        let epochs = Arc::clone(epochs);
        self.at = now;
        self.asked = Some(tokio::spawn(async move { epochs.all().await }));
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        if let Some(asked) = &self.asked {
            asked.abort();
        }
    }
}

async fn unknown<K>(asked: Asked, known: &HashMap<SaleId, K>) -> Vec<SaleId> {
    match asked.await {
        Ok(Ok(sales)) => sales.into_iter().map(|(id, _)| id).filter(|id| !known.contains_key(id)).collect(),
        Ok(Err(error)) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "nobody can say which sales there are");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}
