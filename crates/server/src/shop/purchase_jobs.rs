//! Purchase jobs: a purchase of one unit under a key that belongs to all buyers together. A job is decided by the law while its request
//! waits, and its row (the key, the result) is durable before the request is answered, so a key works once, whatever happens.
//!
//! The law finds an order by a request key that is made of the job's key. A crash between the decision and the row therefore loses
//! nothing: nothing was acknowledged, and the repeated request finds the order and writes the row.
//!
//! A purchase that got no answer may be decided all the same. It is settled later ([`unsettled`]); where instances share the tables, its
//! row is written before the engine is asked, so that another instance can settle it.

mod cursor;
mod keys;
mod rows;
mod stray;
mod unsettled;

pub use crate::store::turnstile_jobs::{JobResult, JobRow};
pub use cursor::JobCursor;
pub use keys::{JobKey, JobKeyError, KeyPermit};
pub use stray::return_stray_units;
pub use unsettled::JobSettler;

use super::group_commit::{GroupCommit, RowNotWritten};
use super::guests::{DialectGuest, GuestNameError, GuestOrigin};
use super::orders::{new_order_id, reserve_as};
use super::tenancy::Tenancy;
use super::{Shop, ids};
use crate::store::turnstile_jobs as table;
use crate::store::turnstile_pending_jobs::PendingJobRow;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::Gauge;
use engine::EngineError;
use futures::FutureExt;
use keys::JobKeys;
use rows::{JobWrite, KeyRecord, NewJob, PendingWrite};
use sale::{BuyerId, OrderStatus, Refusal, SaleId, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use unsettled::{LEASE_MS, UnsettledJobs, settle_job};
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
    lookup: GroupCommit<JobKey, KeyRecord>,
    /// Writes and deletes purchases that are under way.
    pending: GroupCommit<PendingWrite, ()>,
    unsettled: UnsettledJobs,
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
    pub fn start(store: Store, tenancy: Tenancy) -> Self {
        let written = watch::Sender::new(0);
        let notify = written.clone();
        let reading = store.clone();
        let read = move |keys: Vec<JobKey>| {
            let store = reading.clone();
            async move { rows::read_batch(&store, keys, tenancy.is_cluster()).await }.boxed()
        };
        let beginning = store.clone();
        let begin = move |writes: Vec<PendingWrite>| {
            let store = beginning.clone();
            async move { rows::write_pending_batch(&store, writes).await }.boxed()
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
            pending: GroupCommit::start("turnstile_pending_jobs", Box::new(begin)),
            unsettled: UnsettledJobs::default(),
            written,
            running: Gauge::default(),
        }
    }

    /// The number of the last job that this process wrote, and a signal when there is another.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<i64> {
        self.written.subscribe()
    }

    /// Writes a job; its key is used then.
    async fn write_job(&self, job: NewJob) -> Result<JobWrite, RowNotWritten> {
        let key = JobKey::from_stored(&job.row.key);
        let written = self.writer.write(job).await?;
        self.keys.mark_used(&key);
        Ok(written)
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

/// Waits until no other request with this key is under way in this process, and finds out whether a job has used the key. A purchase of
/// another buyer with this key that got no answer is settled first. When there is no answer, it is tried again while the request waits, as
/// a job is.
///
/// # Errors
/// When the tables or the engine do not answer after the last attempt.
pub async fn claim_key(shop: &Shop, key: &JobKey, buyer: BuyerId) -> Result<KeyState, JobError> {
    let mut permit = shop.jobs.keys.claim(key).await;
    let mut pending = shop.jobs.unsettled.list(key);
    if permit.is_surely_unused() && pending.is_empty() {
        return Ok(KeyState::Unused(permit));
    }
    let (KeyRecord { used, pending: stored }, failed) = look_up_key(shop, key).await?;
    permit.set_failed_attempts(failed);
    if let Some(job) = used {
        return Ok(KeyState::Used(Box::new(job)));
    }
    for job in stored {
        if pending.iter().all(|known| known.id != job.id) {
            pending.push(job);
        }
    }
    for job in pending {
        if job.buyer == buyer {
            // The law finds the order by its key.
            permit.add_earlier_sale(job.sale);
        } else if let Some(used) = settle_other(shop, &job).await? {
            return Ok(KeyState::Used(Box::new(used)));
        }
    }
    Ok(KeyState::Unused(permit))
}

/// What the tables have of a key, and how many attempts failed before they answered.
async fn look_up_key(shop: &Shop, key: &JobKey) -> Result<(KeyRecord, u32), RowNotWritten> {
    let mut delays = RETRY_DELAYS.into_iter();
    let mut failed = 0;
    loop {
        match (shop.jobs.lookup.write(key.clone()).await, delays.next()) {
            (Ok(record), _) => return Ok((record, failed)),
            (Err(error), None) => return Err(error),
            (Err(_), Some(delay)) => tokio::time::sleep(delay).await,
        }
        failed += 1;
    }
}

/// Settles a purchase of another buyer.
async fn settle_other(shop: &Shop, job: &PendingJobRow) -> Result<Option<JobRow>, JobError> {
    let mut delays = RETRY_DELAYS.into_iter();
    loop {
        match (settle_job(shop, job, 1).await, delays.next()) {
            (Ok(settled), _) => return Ok(settled),
            (Err(error), None) => return Err(error),
            (Err(_), Some(delay)) => tokio::time::sleep(delay).await,
        }
    }
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
    for sale in permit.earlier_sales().iter().filter(|sale| **sale != request.sale) {
        let before = JobRequest { sale: *sale, ..request.clone() };
        let reply = JobRun::new(shop, &permit, &before).run().await?;
        if !matches!(reply, JobReply::NotOpen(_)) {
            return Ok(reply);
        }
    }
    JobRun::new(shop, &permit, &request).run().await
}

/// A purchase that is under way.
struct JobRun<'a> {
    shop: &'a Shop,
    permit: &'a KeyPermit,
    guest: &'a DialectGuest,
    job: PendingJobRow,
    /// How often it was tried, without the attempts in which its key could not be looked up.
    attempt: u32,
    /// Whether its row is written.
    is_stored: bool,
    /// Whether the engine was asked and gave no answer: it may have sold the unit, or may do so later.
    may_be_decided: bool,
}

impl<'a> JobRun<'a> {
    fn new(shop: &'a Shop, permit: &'a KeyPermit, request: &'a JobRequest) -> Self {
        let job = PendingJobRow {
            id: ids::new_unguessable(shop.engine.now()),
            key: permit.key().as_str().to_owned(),
            buyer: request.guest.buyer(),
            user: request.guest.name().to_owned(),
            product: request.product.clone(),
            sale: request.sale,
            order: new_order_id(shop, request.sale),
            created_at: shop.engine.now(),
        };
        let guest = &request.guest;
        Self { shop, permit, guest, job, attempt: 0, is_stored: false, may_be_decided: false }
    }

    /// The attempts of the request until now.
    fn attempts(&self) -> u32 {
        self.permit.failed_attempts() + self.attempt
    }

    /// Tries until there is an answer. Without one, or when an answer that was late may still come, the purchase is settled later.
    async fn run(mut self) -> Result<JobReply, JobError> {
        let failed_before = usize::try_from(self.permit.failed_attempts()).unwrap_or(ATTEMPTS_MAX);
        let mut delays = RETRY_DELAYS.into_iter().skip(failed_before);
        let reply = loop {
            self.attempt += 1;
            let error = match self.try_once().await {
                Ok(reply) => break Ok(reply),
                Err(error) => error,
            };
            let Some(delay) = delays.next() else { break Err(error) };
            tracing::debug!(id = %self.job.id, attempt = self.attempts(), %error, "a job got no answer; it is tried again");
            tokio::time::sleep(delay).await;
        };
        let jobs = &self.shop.jobs;
        match &reply {
            _ if self.may_be_decided => {
                let attempts = self.attempts();
                jobs.unsettled.add(self.job, attempts, (self.shop.now)());
            }
            Ok(JobReply::NotOpen(_)) | Err(_) if self.is_stored => jobs.forget_pending(self.job.id),
            _ => {}
        }
        reply
    }

    async fn try_once(&mut self) -> Result<JobReply, JobError> {
        self.store_pending().await?;
        let (shop, key) = (self.shop, self.permit.key());
        let decided = reserve_as(shop, (self.job.sale, self.job.buyer), self.job.order, key.request_key());
        let decided = tokio::time::timeout(ENGINE_TIME_MAX, decided).await;
        let decided = decided.unwrap_or(Err(EngineError::NotRecorded));
        let decided = decided.inspect_err(|error| self.may_be_decided |= may_have_decided(*error))?;
        let (result, is_repeated, remaining) = match decided {
            Ok(sold) => (JobResult::Completed(sold.order.view.id), sold.repeated, sold.unsold),
            Err(refusal) if is_phase_refusal(refusal) => return Ok(JobReply::NotOpen(refusal)),
            Err(refusal) => {
                (JobResult::Failed(refusal.code().to_owned()), false, remaining_units(shop, self.job.sale))
            }
        };
        let sold = result.order();
        // After a refusal, an attempt that got no answer may still sell a unit.
        let is_settled = sold.is_some() || !self.may_be_decided;
        let pending = (self.is_stored && is_settled).then_some(self.job.id);
        let mut decided = decided_job(shop, &self.job, (result, remaining), self.attempts(), pending);
        // A failed attempt may have written the row all the same.
        decided.is_surely_unused = self.permit.is_surely_unused() && self.attempt == 1;
        let written = shop.jobs.write_job(decided).await.inspect_err(|_| self.may_be_decided = true)?;
        // The law finds the order by its key from now on.
        self.may_be_decided &= sold.is_none();
        let (JobWrite::Written(row) | JobWrite::KeyTaken(row)) = &written;
        if row.buyer == self.job.buyer {
            shop.guests.mark_known(self.guest);
        }
        // Of an order that was made before the first attempt, an earlier request is the first: a crash or a lost reply hid it.
        let is_ours = !is_repeated || self.attempt > 1;
        Ok(match written {
            JobWrite::Written(row) if is_ours => JobReply::Acknowledged(row),
            JobWrite::Written(row) => JobReply::KeyUsed(row),
            JobWrite::KeyTaken(row) if row.id == self.job.id => JobReply::Acknowledged(row),
            JobWrite::KeyTaken(row) => {
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

    /// Writes the row that lets another instance settle the purchase, before the engine is asked. One process alone needs none: its memory
    /// knows the purchase, and a commit more would cost each purchase a wait for the disk.
    async fn store_pending(&mut self) -> Result<(), RowNotWritten> {
        if self.is_stored || !self.shop.tenancy.is_cluster() {
            return Ok(());
        }
        let leased_until = (self.shop.now)().plus_ms(LEASE_MS);
        self.shop.jobs.pending.write(PendingWrite::Begin { job: self.job.clone(), leased_until }).await?;
        self.is_stored = true;
        Ok(())
    }
}

/// The job of a purchase that is decided, and its guest if that may be new. `pending` is its row that ends with the job.
fn decided_job(
    shop: &Shop,
    job: &PendingJobRow,
    (result, remaining): (JobResult, u32),
    attempts: u32,
    pending: Option<Uuid>,
) -> NewJob {
    let PendingJobRow { id, key, buyer, user, product, sale, created_at, .. } = job.clone();
    let guest = DialectGuest::new(GuestOrigin::Turnstile, &user).ok();
    let guest = guest.filter(|guest| !shop.guests.is_known(guest)).map(|guest| guest.row(created_at));
    let row =
        JobRow { number: 0, id, key, buyer, user, product, sale, result, attempts, remaining, created_at };
    NewJob { row, guest, is_surely_unused: false, pending }
}

/// Whether the engine may have decided a request that failed so, or may do it later.
fn may_have_decided(error: EngineError) -> bool {
    match error {
        EngineError::Overloaded | EngineError::StateUnknown | EngineError::NoSuchSale => false,
        EngineError::NotRecorded | EngineError::Stopped | EngineError::UnexpectedReply { .. } => true,
    }
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
