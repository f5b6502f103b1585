//! Reads jobs in the order of their commits, also those of other processes. It never says whether a job was read before: its caller keeps
//! one cursor.

use crate::shop::Shop;
use crate::store::StoreError;
use crate::store::turnstile_jobs::{self as table, JobRow};

/// Jobs that are read at a time.
const READ_LEN: u32 = 500;

/// The place behind the last job that was read.
#[derive(Debug, Default)]
pub struct JobCursor {
    /// The number of the last job; `None` before the first reading.
    last: Option<i64>,
    is_failing: bool,
    has_more: bool,
}

impl JobCursor {
    /// Whether the last reading failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// Whether the last reading found so many jobs that there may be more.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// The number of the newest job, or `None` when it cannot be read. `written` is the number of the last job that this process wrote.
    pub async fn find_newest(&mut self, shop: &Shop, written: i64) -> Option<i64> {
        let newest = match self.last {
            // No other process writes jobs.
            Some(last) if !shop.tenancy.is_cluster() => Ok(last.max(written)),
            _ => table::last_number(&shop.store).await,
        };
        self.note_result(newest)
    }

    /// Leaves out all jobs up to a number.
    pub fn skip(&mut self, newest: Option<i64>) {
        if newest.is_some() {
            self.last = newest;
        }
    }

    /// The next jobs, in order; none when there are no more, or when they cannot be read, which is logged once. No job is added before one
    /// that was read.
    pub async fn read_next(&mut self, shop: &Shop) -> Vec<JobRow> {
        let Some(last) = self.last else {
            let newest = self.find_newest(shop, 0).await;
            self.skip(newest);
            return Vec::new();
        };
        let jobs = table::list_after(&shop.store, last, READ_LEN).await;
        let jobs = self.note_result(jobs).unwrap_or_default();
        if let Some(job) = jobs.last() {
            self.last = Some(job.number);
        }
        self.has_more = jobs.len() == READ_LEN as usize;
        jobs
    }

    fn note_result<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        match result {
            Ok(value) => {
                self.is_failing = false;
                Some(value)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        "the jobs of the turnstile cannot be read; its sockets get the outcomes later; it is tried again ten times a second; check the database"
                    );
                }
                None
            }
        }
    }
}
