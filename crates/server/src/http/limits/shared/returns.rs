//! Requests that are to be taken back in Valkey, which did not answer when they were. It never takes back what this process counts alone.

use super::valkey::{LimiterServer, LimiterUnavailable};
use super::{BucketEntry, CALL_LEN_MAX};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Requests at most, some 60 bytes each; others count until their time is over.
const RETURNS_MAX: usize = 16_384;

/// What is taken back once Valkey answers.
#[derive(Debug, Default)]
pub(super) struct PendingReturns {
    entries: Mutex<Vec<BucketEntry>>,
}

impl PendingReturns {
    pub(super) fn add(&self, entry: BucketEntry) {
        let mut entries = self.lock();
        if entries.len() < RETURNS_MAX {
            entries.push(entry);
        }
    }

    /// Takes all of them back; those that fail are kept.
    pub(super) async fn send(&self, server: &LimiterServer) -> Result<(), LimiterUnavailable> {
        loop {
            let mut taken = TakenReturns { returns: self, entries: self.take(CALL_LEN_MAX) };
            if taken.entries.is_empty() {
                return Ok(());
            }
            server.count_requests(&taken.entries).await?;
            taken.entries.clear();
        }
    }

    fn take(&self, limit: usize) -> Vec<BucketEntry> {
        let mut entries = self.lock();
        let from = entries.len().saturating_sub(limit);
        entries.split_off(from)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<BucketEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entries of a call. Those that are left when it ends, or is dropped, wait for the next one.
struct TakenReturns<'a> {
    returns: &'a PendingReturns,
    entries: Vec<BucketEntry>,
}

impl Drop for TakenReturns<'_> {
    fn drop(&mut self) {
        self.entries.drain(..).for_each(|entry| self.returns.add(entry));
    }
}
