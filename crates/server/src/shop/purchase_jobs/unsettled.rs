//! Purchases that got no answer: the engine may have sold the unit, or may sell it later. Each is kept until the engine knows its order,
//! and becomes a job then; or until the engine has not known it for minutes. Nothing is sold here.

use super::keys::JobKey;
use super::rows::{JobWrite, PendingWrite};
use super::{ENGINE_TIME_MAX, JobError, PurchaseJobs, decided_job, remaining_units, return_stray_units};
use crate::shop::Shop;
use crate::store::turnstile_jobs::{JobResult, JobRow};
use crate::store::turnstile_pending_jobs::{self as table, PendingJobRow};
use engine::EngineError;
use sale::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Purchases in memory at most, some 500 bytes each. Of others, the same request finds out what became of it.
const UNSETTLED_MAX: usize = 100_000;
/// How long a purchase is kept whose order the engine does not know, in milliseconds from its first answer: what hangs on its way to
/// Valkey is decided or lost by then.
const UNKNOWN_LIFE_MS: i64 = 5 * 60 * 1000;
/// Milliseconds between two questions for one order: an eighth of the purchase's age, within these bounds.
const ASK_PAUSE_MIN_MS: i64 = 1_000;
const ASK_PAUSE_MAX_MS: i64 = 30_000;
/// How long other instances leave a purchase alone, in milliseconds: longer than its request waits. Two that ask at once do no harm.
pub(super) const LEASE_MS: i64 = 30_000;
/// Milliseconds between two looks for purchases whose instance is gone.
const LEASE_INTERVAL_MS: i64 = 2_000;
/// Purchases of a round.
const ROUND_LEN: usize = 500;
const LEASE_LEN: u32 = 500;

/// The purchases without an answer that this process knows.
#[derive(Default)]
pub(super) struct UnsettledJobs {
    by_key: Mutex<HashMap<String, Vec<UnsettledJob>>>,
}

#[derive(Clone, Debug)]
struct UnsettledJob {
    job: PendingJobRow,
    attempts: u32,
    ask_at: Timestamp,
    /// Since when the engine has answered that it does not know the order.
    unknown_since: Option<Timestamp>,
}

impl UnsettledJobs {
    pub(super) fn add(&self, job: PendingJobRow, attempts: u32, now: Timestamp) {
        let mut by_key = self.lock();
        if by_key.len() >= UNSETTLED_MAX {
            return;
        }
        let jobs = by_key.entry(job.key.clone()).or_default();
        if jobs.iter().all(|known| known.job.id != job.id) {
            let ask_at = now.plus_ms(ASK_PAUSE_MIN_MS);
            jobs.push(UnsettledJob { job, attempts, ask_at, unknown_since: None });
        }
    }

    /// The purchases with a key.
    pub(super) fn list(&self, key: &JobKey) -> Vec<PendingJobRow> {
        let by_key = self.lock();
        by_key.get(key.as_str()).into_iter().flatten().map(|unsettled| unsettled.job.clone()).collect()
    }

    fn remove(&self, job: &PendingJobRow) {
        let mut by_key = self.lock();
        if let Some(jobs) = by_key.get_mut(&job.key) {
            jobs.retain(|known| known.job.id != job.id);
            if jobs.is_empty() {
                by_key.remove(&job.key);
            }
        }
    }

    /// Up to `limit` purchases whose orders are to be asked for now, with their attempts.
    fn take_due(&self, now: Timestamp, limit: usize) -> Vec<(PendingJobRow, u32)> {
        let mut by_key = self.lock();
        let due = by_key.values_mut().flatten().filter(|unsettled| unsettled.ask_at <= now).take(limit);
        due.map(|unsettled| {
            let age_ms = now.ms_since(unsettled.job.created_at);
            unsettled.ask_at = now.plus_ms((age_ms / 8).clamp(ASK_PAUSE_MIN_MS, ASK_PAUSE_MAX_MS));
            (unsettled.job.clone(), unsettled.attempts)
        })
        .collect()
    }

    /// Notes that the engine does not know the order of a purchase. True when it has been so long enough: the purchase is removed.
    fn note_unknown(&self, job: &PendingJobRow, now: Timestamp) -> bool {
        let is_over = {
            let mut by_key = self.lock();
            let jobs = by_key.get_mut(&job.key);
            let unsettled = jobs.and_then(|jobs| jobs.iter_mut().find(|known| known.job.id == job.id));
            unsettled.is_some_and(|unsettled| {
                now.ms_since(*unsettled.unknown_since.get_or_insert(now)) >= UNKNOWN_LIFE_MS
            })
        };
        if is_over {
            self.remove(job);
        }
        is_over
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<UnsettledJob>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settles purchases without an answer, those of this process and of instances that are gone.
#[derive(Debug, Default)]
pub struct JobSettler {
    leased_at: Option<Timestamp>,
    is_failing: bool,
}

impl JobSettler {
    /// Asks the engine for the orders of purchases whose time has come. When it gives no answer, a later round asks again.
    pub async fn run_round(&mut self, shop: &Shop) {
        let now = (shop.now)();
        if self.leased_at.is_none_or(|leased_at| now.ms_since(leased_at) >= LEASE_INTERVAL_MS) {
            self.leased_at = Some(now);
            self.lease_jobs(shop, now).await;
        }
        for (job, attempts) in shop.jobs.unsettled.take_due(now, ROUND_LEN) {
            // While a request with the key is under way, that one finds out.
            let Some(_permit) = shop.jobs.keys.try_claim(&JobKey::from_stored(&job.key)) else { continue };
            match settle_job(shop, &job, attempts).await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    if shop.jobs.unsettled.note_unknown(&job, now) {
                        shop.jobs.forget_pending(job.id);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "purchases without an answer are not settled yet");
                    return;
                }
            }
        }
    }

    /// Takes over purchases that no instance works on.
    async fn lease_jobs(&mut self, shop: &Shop, now: Timestamp) {
        match table::lease(&shop.store, now, now.plus_ms(LEASE_MS), LEASE_LEN).await {
            Ok(jobs) => {
                self.is_failing = false;
                for job in jobs {
                    shop.jobs.unsettled.add(job, 1, now);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        "purchases of the turnstile that other instances left without an answer cannot be read; it is tried again every two seconds; check the database"
                    );
                }
            }
        }
    }
}

/// Writes the job of a purchase whose order the engine knows, and returns the job that has its key then; `None` when the engine does not
/// know the order.
///
/// # Errors
/// When the engine or the tables do not answer.
pub(super) async fn settle_job(
    shop: &Shop,
    job: &PendingJobRow,
    attempts: u32,
) -> Result<Option<JobRow>, JobError> {
    let found = tokio::time::timeout(ENGINE_TIME_MAX, shop.engine.order(job.order)).await;
    if found.unwrap_or(Err(EngineError::StateUnknown))?.is_none() {
        return Ok(None);
    }
    let result = (JobResult::Completed(job.order), remaining_units(shop, job.sale));
    let decided = decided_job(shop, job, result, attempts, Some(job.id));
    let written = shop.jobs.write_job(decided).await?;
    shop.jobs.unsettled.remove(job);
    Ok(Some(match written {
        JobWrite::Written(row) => row,
        JobWrite::KeyTaken(row) => {
            if row.result.order() != Some(job.order) {
                return_stray_units(shop).await;
            }
            row
        }
    }))
}

impl PurchaseJobs {
    /// Deletes the row of a purchase that sold nothing. When that fails, it is forgotten later, as one without an answer.
    pub(super) fn forget_pending(&self, id: Uuid) {
        let pending = self.pending.clone();
        tokio::spawn(async move { pending.write(PendingWrite::Forget(id)).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sale::{BuyerId, OrderId, SaleId};

    fn job(key: &str, id: u128) -> PendingJobRow {
        PendingJobRow {
            id: Uuid::from_u128(id),
            key: key.into(),
            buyer: BuyerId(Uuid::from_u128(1)),
            user: "ada".into(),
            product: "sneaker-001".into(),
            sale: SaleId(Uuid::from_u128(2)),
            order: OrderId(Uuid::from_u128(id)),
            created_at: Timestamp(0),
        }
    }

    #[test]
    fn a_purchase_is_asked_for_more_and_more_rarely() {
        let unsettled = UnsettledJobs::default();
        unsettled.add(job("k", 1), 3, Timestamp(0));
        unsettled.add(job("k", 1), 1, Timestamp(0));
        let due = |at| unsettled.take_due(Timestamp(at), 10).len();
        assert_eq!((due(999), due(1_000), due(1_999), due(2_000)), (0, 1, 0, 1), "each second");
        assert_eq!((due(80_000), due(89_999), due(90_000)), (1, 0, 1), "an eighth of its age");
        assert_eq!((due(800_000), due(829_999), due(830_000)), (1, 0, 1), "half a minute at most");
        assert_eq!(unsettled.take_due(Timestamp(i64::MAX / 2), 10), [(job("k", 1), 3)]);
    }

    #[test]
    fn it_is_kept_for_minutes_after_the_first_answer() {
        let unsettled = UnsettledJobs::default();
        let key = JobKey::new("k").unwrap();
        for id in [1, 2] {
            unsettled.add(job("k", id), 3, Timestamp(0));
        }
        let first = job("k", 1);
        // The engine was silent for hours.
        let answered = 10_000_000;
        assert!(!unsettled.note_unknown(&first, Timestamp(answered)));
        assert!(!unsettled.note_unknown(&first, Timestamp(answered + UNKNOWN_LIFE_MS - 1)));
        assert!(unsettled.note_unknown(&first, Timestamp(answered + UNKNOWN_LIFE_MS)));
        assert_eq!(unsettled.list(&key), [job("k", 2)]);
        unsettled.remove(&job("k", 2));
        assert!(unsettled.list(&key).is_empty() && unsettled.lock().is_empty());
    }
}
