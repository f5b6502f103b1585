//! Purchase jobs: a purchase of one unit under a key that belongs to all buyers together. A job is decided by the law while its request
//! waits, and its row (the key, the result) is durable before the request is answered, so a key works once, whatever happens.
//!
//! The law finds an order by a request key that is made of the job's key. A crash between the decision and the row therefore loses
//! nothing: nothing was acknowledged, and the repeated request finds the order and writes the row.

mod cursor;
mod keys;
mod rows;
mod stray;

pub use crate::store::turnstile_jobs::{JobResult, JobRow};
pub use cursor::JobCursor;
pub use keys::{JobKey, JobKeyError, KeyPermit};
pub use stray::return_stray_units;

use super::Shop;
use super::group_commit::{GroupCommit, RowNotWritten};
use super::guests::{DialectGuest, GuestNameError, GuestOrigin};
use super::orders::reserve_with_key;
use crate::store::guests::GuestRow;
use crate::store::turnstile_jobs as table;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::Gauge;
use engine::EngineError;
use futures::FutureExt;
use keys::JobKeys;
use quick_cache::sync::Cache;
use rows::{JobWrite, NewJob};
use sale::{OrderStatus, Refusal, SaleId, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// Pauses before the second and the third attempt.
const RETRY_DELAYS: [Duration; 2] =
    [Duration::from_millis(BACKOFF_MS as u64), Duration::from_millis(2 * BACKOFF_MS as u64)];
/// Attempts of a job at most.
pub const ATTEMPTS_MAX: usize = RETRY_DELAYS.len() + 1;
/// Milliseconds before the second attempt.
pub const BACKOFF_MS: u32 = 1_000;
/// How long an attempt waits for the engine. The engine itself gives up before, after 1.5 s without PostgreSQL and 1 s without Valkey.
const ENGINE_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a failed job and its key are kept, in milliseconds: 24 h, and an hour for clocks that differ. Those of a sold unit are kept for
/// good.
const FAILED_LIFE_MS: i64 = 25 * 60 * 60 * 1000;
/// Requests without an answer whose sale is remembered, some 300 bytes each.
const UNANSWERED_MAX: usize = 100_000;
/// Failed jobs that one statement deletes at most.
const SWEEP_LEN: u32 = 5_000;

/// The buyer of a request that names none.
const USER_DEFAULT: &str = "guest";

/// The buyer with this name; one without a name, or with a blank one, is `guest`.
///
/// # Errors
/// When the name is too long.
pub fn job_guest(name: Option<&str>) -> Result<DialectGuest, GuestNameError> {
    let name = name.filter(|name| !name.trim().is_empty()).unwrap_or(USER_DEFAULT);
    DialectGuest::new(GuestOrigin::Turnstile, name)
}

/// The jobs of this process, and which keys are used.
pub struct PurchaseJobs {
    keys: Arc<JobKeys>,
    writer: GroupCommit<NewJob, JobWrite>,
    /// Looks up keys: where other processes write jobs too, each purchase needs it.
    lookup: GroupCommit<JobKey, Option<JobRow>>,
    /// Keys of requests that got no answer, with the sale that each asked: it may have sold the unit.
    unanswered: Cache<JobKey, SaleId>,
    /// The number of the last job that this process wrote.
    written: watch::Sender<i64>,
    /// Jobs that are being decided or written.
    pub running: Gauge,
}

/// A purchase that a client asks for.
#[derive(Clone, Debug)]
pub struct JobRequest {
    pub sale: SaleId,
    pub guest: DialectGuest,
    /// The product as the client named it.
    pub product: String,
}

/// What a key says before anything is decided.
#[derive(Debug)]
pub enum KeyState {
    /// No job has used it. Others who bring it wait until the permit is dropped.
    Unused(KeyPermit),
    /// This job has used it.
    Used(Box<JobRow>),
}

/// What became of a request.
#[derive(Debug)]
pub enum JobReply {
    /// Its job is decided and durable.
    Acknowledged(JobRow),
    /// Another request has used the key.
    KeyUsed(JobRow),
    /// The sale does not sell now. The key stays unused.
    NotOpen(Refusal),
}

/// Why a request has no answer. It may be sent again: it never buys twice.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum JobError {
    /// The engine gave no answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The job could not be written.
    #[error(transparent)]
    Row(#[from] RowNotWritten),
}

impl PurchaseJobs {
    #[must_use]
    pub fn start(store: Store) -> Self {
        let written = watch::Sender::new(0);
        let notify = written.clone();
        let reading = store.clone();
        let read = move |keys: Vec<JobKey>| {
            let store = reading.clone();
            async move { rows::read_batch(&store, keys).await }.boxed()
        };
        let write = move |jobs: Vec<NewJob>| {
            let (store, notify) = (store.clone(), notify.clone());
            async move {
                let (replies, last) = rows::write_batch(&store, jobs).await?;
                notify.send_modify(|number| *number = last.max(*number));
                Ok(replies)
            }
            .boxed()
        };
        Self {
            keys: Arc::default(),
            writer: GroupCommit::start("turnstile_jobs", Box::new(write)),
            lookup: GroupCommit::start("turnstile_jobs", Box::new(read)),
            unanswered: Cache::new(UNANSWERED_MAX),
            written,
            running: Gauge::default(),
        }
    }

    /// The number of the last job that this process wrote, and a signal when there is another.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<i64> {
        self.written.subscribe()
    }
}

/// Reads which keys are used, so that a new key costs no query. Until it has ended, and where other processes write jobs too, each key is
/// looked up in the table.
///
/// # Errors
/// When the tables do not answer; keys are looked up then.
pub async fn load_keys(shop: &Shop) -> Result<(), StoreError> {
    if shop.tenancy.is_cluster() { Ok(()) } else { shop.jobs.keys.load(&shop.store).await }
}

/// Waits until no other request with this key is under way in this process, and looks up whether a job has used the key. When the tables do
/// not answer, it is tried again while the request waits, as a job is.
///
/// # Errors
/// When the tables do not answer after the last attempt.
pub async fn claim_key(shop: &Shop, key: &JobKey) -> Result<KeyState, RowNotWritten> {
    let permit = shop.jobs.keys.claim(key).await;
    if permit.is_surely_unused() {
        return Ok(KeyState::Unused(permit));
    }
    let mut delays = RETRY_DELAYS.into_iter();
    let used = loop {
        match (shop.jobs.lookup.write(key.clone()).await, delays.next()) {
            (Ok(used), _) => break used,
            (Err(error), None) => return Err(error),
            (Err(_), Some(delay)) => tokio::time::sleep(delay).await,
        }
    };
    Ok(used.map_or(KeyState::Unused(permit), |job| KeyState::Used(Box::new(job))))
}

/// The job that has used a key, as the tables have it.
///
/// # Errors
/// When the tables do not answer.
pub async fn find_by_key(shop: &Shop, key: &JobKey) -> Result<Option<JobRow>, StoreError> {
    table::find_by_key(&shop.store, key.as_str()).await
}

/// Decides a job and writes it. It goes on when its caller is gone: a unit that was sold gets its job.
///
/// # Errors
/// When there is no answer after the last attempt. The key is unused then, and the same request finds out what became of it.
pub async fn run(shop: &Arc<Shop>, permit: KeyPermit, request: JobRequest) -> Result<JobReply, JobError> {
    let shop = Arc::clone(shop);
    let job = tokio::spawn(async move { run_attempts(&shop, permit, request).await });
    // A panic was logged; whether the unit is sold is not known.
    job.await.unwrap_or(Err(JobError::Row(RowNotWritten)))
}

async fn run_attempts(shop: &Shop, permit: KeyPermit, request: JobRequest) -> Result<JobReply, JobError> {
    let _running = RunningJob::start(&shop.jobs.running);
    // The sale may be another one by now. Where an earlier request may have bought is asked first, so that none buys twice.
    let before = shop.jobs.unanswered.get(permit.key()).filter(|before| *before != request.sale);
    if let Some(before) = before {
        let reply = run_in_sale(shop, &permit, &JobRequest { sale: before, ..request.clone() }).await?;
        if !matches!(reply, JobReply::NotOpen(_)) {
            return Ok(reply);
        }
    }
    run_in_sale(shop, &permit, &request).await
}

async fn run_in_sale(shop: &Shop, permit: &KeyPermit, request: &JobRequest) -> Result<JobReply, JobError> {
    let (id, created_at) = (Uuid::new_v4(), shop.engine.now());
    let mut delays = RETRY_DELAYS.into_iter();
    for attempt in 1.. {
        let error = match attempt_job(shop, permit, request, (id, created_at, attempt)).await {
            Ok(reply) => {
                shop.jobs.unanswered.remove(permit.key());
                return Ok(reply);
            }
            Err(error) => error,
        };
        shop.jobs.unanswered.insert(permit.key().clone(), request.sale);
        let Some(delay) = delays.next() else { return Err(error) };
        tracing::debug!(%id, attempt, %error, "a job got no answer; it is tried again");
        tokio::time::sleep(delay).await;
    }
    Err(JobError::Row(RowNotWritten))
}

async fn attempt_job(
    shop: &Shop,
    permit: &KeyPermit,
    request: &JobRequest,
    (id, created_at, attempt): (Uuid, Timestamp, u32),
) -> Result<JobReply, JobError> {
    let (sale, buyer, key) = (request.sale, request.guest.buyer(), permit.key());
    let decided = reserve_with_key(shop, (sale, buyer), 1, key.request_key());
    let decided = tokio::time::timeout(ENGINE_TIME_MAX, decided).await;
    let (result, is_repeated, remaining) = match decided.unwrap_or(Err(EngineError::NotRecorded))? {
        Ok(sold) => (JobResult::Completed(sold.order.view.id), sold.repeated, sold.unsold),
        Err(refusal) if is_phase_refusal(refusal) => return Ok(JobReply::NotOpen(refusal)),
        Err(refusal) => (JobResult::Failed(refusal.code().to_owned()), false, remaining_units(shop, sale)),
    };
    let job = NewJob {
        row: JobRow {
            number: 0,
            id,
            key: key.as_str().to_owned(),
            buyer,
            user: request.guest.name().to_owned(),
            product: request.product.clone(),
            sale,
            result,
            attempts: attempt,
            remaining,
            created_at,
        },
        guest: new_guest(shop, &request.guest, created_at),
        // A failed attempt may have written the row all the same.
        is_surely_unused: permit.is_surely_unused() && attempt == 1,
    };
    let result = job.row.result.clone();
    let written = shop.jobs.writer.write(job).await?;
    shop.guests.mark_known(&request.guest);
    shop.jobs.keys.mark_used(key);
    // Of an order that was made before the first attempt, an earlier request is the first: a crash or a lost reply hid it.
    let is_ours = !is_repeated || attempt > 1;
    Ok(match written {
        JobWrite::Written(row) if is_ours => JobReply::Acknowledged(row),
        JobWrite::Written(row) => JobReply::KeyUsed(row),
        JobWrite::KeyTaken(row) if row.id == id => JobReply::Acknowledged(row),
        JobWrite::KeyTaken(row) => {
            let sold = result.order();
            if sold.is_some() && sold == row.result.order() {
                // Two instances had the same order. The one that made it acknowledges it.
                if is_ours { JobReply::Acknowledged(row) } else { JobReply::KeyUsed(row) }
            } else {
                if sold.is_some() {
                    return_stray_units(shop).await;
                }
                JobReply::KeyUsed(row)
            }
        }
    })
}

fn new_guest(shop: &Shop, guest: &DialectGuest, now: Timestamp) -> Option<GuestRow> {
    (!shop.guests.is_known(guest)).then(|| guest.row(now))
}

/// Whether the sale sells to no buyer at this time.
fn is_phase_refusal(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::NotStarted | Refusal::Ended | Refusal::Paused | Refusal::Closed)
}

/// Units of a sale that are not sold, as this process knows it; 0 without such a sale.
#[must_use]
pub fn remaining_units(shop: &Shop, sale: SaleId) -> u32 {
    shop.engine.views().get(sale).map_or(0, |view| view.counters.unsold())
}

/// A job by its id.
///
/// # Errors
/// When the tables do not answer.
pub async fn find(shop: &Shop, id: Uuid) -> Result<Option<JobRow>, StoreError> {
    table::find(&shop.store, id).await
}

/// Whether the unit of a job is the buyer's, from the engine's state.
///
/// # Errors
/// When the engine does not answer.
pub async fn is_sold(shop: &Shop, job: &JobRow) -> Result<bool, EngineError> {
    let JobResult::Completed(order) = job.result else { return Ok(false) };
    let found = tokio::time::timeout(ENGINE_TIME_MAX, shop.engine.order(order)).await;
    let status = found.unwrap_or(Err(EngineError::StateUnknown))?.map(|(_, view)| view.status);
    Ok(status == Some(OrderStatus::Confirmed))
}

/// Deletes failed jobs whose time is over, and frees their keys.
///
/// # Errors
/// When the tables do not answer.
pub async fn forget_old_jobs(shop: &Shop) -> Result<(), StoreError> {
    let before = Timestamp((shop.now)().0.saturating_sub(FAILED_LIFE_MS));
    while table::delete_old_failed(&shop.store, before, SWEEP_LEN).await? == u64::from(SWEEP_LEN) {}
    Ok(())
}

/// Keeps what the SQL views need of the settings: the accepted product ids, and the named sale.
///
/// # Errors
/// When the tables do not answer.
pub async fn write_settings(shop: &Shop, products: &[String], sale: Option<&str>) -> Result<(), StoreError> {
    table::write_settings(&shop.store, products, sale).await
}

/// What became of a job, for the buyer.
#[must_use]
pub fn describe_result(result: &JobResult) -> &'static str {
    match result {
        JobResult::Completed(_) => "the purchase is complete: the unit is yours",
        JobResult::Failed(code) if code == Refusal::SoldOut.code() => "every unit is sold out",
        JobResult::Failed(code) if code == Refusal::AllHeld.code() => {
            "no unit is free at the moment; one may come back"
        }
        JobResult::Failed(code) if code == Refusal::LimitReached.code() => {
            "you have as many units as one buyer may have in this sale"
        }
        JobResult::Failed(_) => "the purchase was refused",
    }
}

/// Counts a job as running until it is dropped.
struct RunningJob(Gauge);

impl RunningJob {
    fn start(running: &Gauge) -> Self {
        running.inc();
        Self(running.clone())
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        self.0.dec();
    }
}
