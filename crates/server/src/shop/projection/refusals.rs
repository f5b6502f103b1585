//! Writes refused attempts from the buffer in batches. While the tables cannot be written it keeps a bounded number, and
//! counts the rows that it drops.

use crate::shop::attempts::AttemptsInbox;
use crate::store::attempts::AttemptRow;
use crate::store::{Store, StoreError, attempts, series};
use sale::Timestamp;
use std::collections::VecDeque;

/// Rows kept while the tables cannot be written: some 3 MB.
const KEPT_MAX: usize = 20_000;
/// Rows a transaction: a few milliseconds, so that a registration does not wait long for the writer.
const ROWS_MAX: usize = 512;

/// The buffer's receiver, and the rows taken from it that are not written yet.
pub struct RefusalWriter {
    inbox: AttemptsInbox,
    kept: VecDeque<AttemptRow>,
}

impl RefusalWriter {
    #[must_use]
    pub fn new(inbox: AttemptsInbox) -> Self {
        Self { inbox, kept: VecDeque::new() }
    }

    /// Takes the due rows, and writes one transaction of them. True when more rows wait.
    ///
    /// # Errors
    /// When the tables cannot be written; the rows are kept, up to a bound.
    pub async fn write(&mut self, store: &Store, now: Timestamp, is_last: bool) -> Result<bool, StoreError> {
        self.collect_due(now, is_last);
        if self.kept.is_empty() {
            return Ok(false);
        }
        let rows = self.kept.make_contiguous();
        let rows = &rows[..rows.len().min(ROWS_MAX)];
        let mut writing = store.begin().await?;
        attempts::insert(&mut writing, rows).await?;
        series::count_refusals(&mut writing, rows).await?;
        writing.commit().await?;
        let written = rows.len();
        self.kept.drain(..written);
        Ok(!self.kept.is_empty())
    }

    /// Takes the due rows from the buffer, also while the tables cannot be written: the buffer's counts must not grow.
    pub fn collect_due(&mut self, now: Timestamp, is_last: bool) {
        let taken = self.inbox.drain(now, KEPT_MAX, is_last);
        self.kept.extend(taken);
        let surplus = self.kept.len().saturating_sub(KEPT_MAX);
        self.inbox.drop_rows(self.kept.drain(..surplus));
    }
}
