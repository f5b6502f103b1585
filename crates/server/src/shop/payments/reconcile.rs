//! Settles payments that a crash, a lost reply or a failing disk left between two steps. It charges no buyer again: a payment that the
//! provider never saw is voided, and one that the provider knows is finished as the law decides.

use super::PaymentService;
use super::settle::SettleResult;
use crate::shop::idempotency_keys::KEY_LIFE_MS;
use crate::shop::tenancy::Tenancy;
use crate::store::payments::{self as rows, PaymentRow, PaymentState, RefundRow, RefundState};
use crate::store::{StoreError, admin_keys, payment_findings};
use engine::error_text::describe_error;
use futures::stream::{self, StreamExt};
use sale::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// Payments of one pass, at most; a full pass is followed by another at once.
const BATCH_LEN_MAX: u32 = 256;

/// Payments that are settled concurrently: enough for a slow provider, too few to overload a fast one.
const CONCURRENT_MAX: usize = 32;

/// Time between two passes.
const PASS_EVERY: Duration = Duration::from_secs(2);

/// Longest time between two tries of the same payment, in milliseconds.
const TRY_EVERY_MS_MAX: i64 = 5 * 60 * 1000;

/// A payment whose state has not changed for this long counts as stuck in the metrics. In milliseconds.
const STUCK_AFTER_MS: i64 = 10 * 60 * 1000;

/// Tries between two log lines about the same payment.
const LOG_EVERY_TRIES: i64 = 8;

/// Idempotency keys that one pass deletes, at most.
const KEYS_FORGOTTEN_MAX: u32 = 1_000;

/// When the reconciler settles a payment.
#[derive(Clone, Copy, Debug)]
pub struct ReconcileTiming {
    /// How long a payment may stay between two steps before the reconciler settles it, in milliseconds. More than the provider's time
    /// limit: a buyer who repeats the request is quicker, and continues the same payment.
    pub settle_after_ms: i64,
    /// How long a lease lasts, in milliseconds. A live process renews it four times as often. More than the clocks of two machines
    /// differ.
    pub lease_ms: i64,
    /// A single process settles all payments in its first pass, leased or not: the process that leased them is dead.
    pub tenancy: Tenancy,
}

impl Default for ReconcileTiming {
    fn default() -> Self {
        Self { settle_after_ms: 15_000, lease_ms: 10_000, tenancy: Tenancy::Single }
    }
}

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReconcileReport {
    /// Payments brought to their end.
    pub settled: u32,
    /// Payments that wait: their provider or the engine does not answer, or they are in flight.
    pub waiting: u32,
}

/// What became of one payment in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PassResult {
    Settled,
    Waiting,
    /// The same, and the provider or the engine did not answer.
    Silent,
    /// Another task or instance works on it.
    Busy,
}

impl ReconcileReport {
    fn count(&mut self, result: PassResult) {
        match result {
            PassResult::Settled => self.settled += 1,
            PassResult::Waiting | PassResult::Silent | PassResult::Busy => self.waiting += 1,
        }
    }
}

impl PaymentService {
    /// Settles payments until `stop` becomes true; it finishes a pass that has begun.
    pub async fn run_reconciler(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut due = if self.timing.tenancy.is_cluster() { self.engine.now() } else { Timestamp::MAX };
        // The instance that has taken over the ledger settles them.
        while !self.engine.is_taken_over() {
            let mut wait = PASS_EVERY;
            match self.reconcile(due).await {
                Ok(done) if done.settled >= BATCH_LEN_MAX => wait = Duration::ZERO,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(
                        error = describe_error(&error),
                        "reading unsettled payments failed; retrying every 2 s; check the database"
                    );
                }
            }
            if let Err(error) = self.update_counts_and_keys().await {
                tracing::warn!(
                    error = describe_error(&error),
                    "deleting old idempotency keys failed; retrying every 2 s"
                );
            }
            if tokio::time::timeout(wait, stop.wait_for(|stop| *stop)).await.is_ok() {
                return;
            }
            due = self.engine.now();
        }
    }

    /// One pass over the payments that are due at `due`: [`Timestamp::MAX`] for all of them.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn reconcile(self: &Arc<Self>, due: Timestamp) -> Result<ReconcileReport, StoreError> {
        let mut payments = rows::list_unsettled(self.tables.store(), due, BATCH_LEN_MAX).await?;
        // The money of a confirmed order, before pages on which nobody may be.
        payments.sort_by_key(|payment| payment.state != PaymentState::Authorised);
        let mut done = ReconcileReport::default();
        let settling: Vec<_> = payments
            .iter()
            .map(|payment| async move { (payment.id, self.reconcile_payment(payment, due).await) })
            .collect();
        let mut results = stream::iter(settling).buffer_unordered(CONCURRENT_MAX);
        while let Some((payment, result)) = results.next().await {
            done.count(result.unwrap_or_else(|error| log_skipped(payment, &error)));
        }
        let parts = rows::list_pending(self.tables.store(), due, BATCH_LEN_MAX).await?;
        let settling: Vec<_> = parts
            .iter()
            .map(|part| async move { (part.payment, self.reconcile_part(part, due).await) })
            .collect();
        let mut results = stream::iter(settling).buffer_unordered(CONCURRENT_MAX);
        while let Some((payment, result)) = results.next().await {
            done.count(result.unwrap_or_else(|error| log_skipped(payment, &error)));
        }
        self.metrics.count_settled(done.settled);
        Ok(done)
    }

    /// Settles one payment, if that is possible now.
    pub(super) async fn reconcile_payment(
        self: &Arc<Self>,
        payment: &PaymentRow,
        due: Timestamp,
    ) -> Result<PassResult, StoreError> {
        let permit = match self.in_flight.begin(payment.buyer, payment.order) {
            Ok(Some(permit)) => permit,
            // It is in flight, or too many others are.
            Ok(None) | Err(_) => return Ok(PassResult::Busy),
        };
        // Another instance may have leased it.
        let Some(held) = self.acquire_lease(payment.id, due).await? else { return Ok(PassResult::Busy) };
        // Its state may have changed before the lease: `settle_payment` leaves a settled payment as it is.
        let result = self.with_lease(&held, self.settle_payment(&held)).await?;
        let is_silent = matches!(result, SettleResult::Pending);
        let now = rows::find(self.tables.store(), payment.id).await?;
        let left = now.filter(|now| !now.state.is_settled());
        if let Some(left) = &left {
            self.postpone(left, is_silent).await?;
        }
        drop(permit);
        Ok(match left {
            None => PassResult::Settled,
            Some(_) if is_silent => PassResult::Silent,
            Some(_) => PassResult::Waiting,
        })
    }

    /// Finishes the refund of a part, if that is possible now.
    async fn reconcile_part(
        self: &Arc<Self>,
        part: &RefundRow,
        due: Timestamp,
    ) -> Result<PassResult, StoreError> {
        let Some(payment) = rows::find(self.tables.store(), part.payment).await? else {
            return Ok(PassResult::Waiting);
        };
        let permit = match self.in_flight.begin(payment.buyer, payment.order) {
            Ok(Some(permit)) => permit,
            Ok(None) | Err(_) => return Ok(PassResult::Busy),
        };
        let Some(held) = self.acquire_lease(payment.id, due).await? else { return Ok(PassResult::Busy) };
        let finished = self.with_lease(&held, self.finish_part(&held, part)).await?;
        drop(permit);
        if finished != RefundState::Pending {
            return Ok(PassResult::Settled);
        }
        let tries = part.tries + 1;
        if tries % LOG_EVERY_TRIES == 0 {
            tracing::error!(
                payment = %payment.id, order = %payment.order, refund = %part.id, tries,
                "a refund of a part cannot be finished; the reconciler goes on trying; look it up at the provider"
            );
        }
        let try_at = self.engine.now().plus_ms(backoff_ms(tries));
        rows::postpone_part(self.tables.store(), part.id, try_at).await?;
        Ok(PassResult::Waiting)
    }

    async fn postpone(&self, payment: &PaymentRow, is_silent: bool) -> Result<(), StoreError> {
        let tries = payment.tries + 1;
        let now = self.engine.now();
        let open = match payment.state {
            PaymentState::Open => self.find_held_order(payment).await.ok().flatten(),
            _ => None,
        };
        let try_at = match open {
            // Nothing is wrong: its buyer has not paid yet, or the bank takes its time.
            Some(order) => self.ask_again_at(&order, tries, is_silent),
            None => {
                // What a dispute holds waits for the bank, and asks nothing of a person.
                if tries % LOG_EVERY_TRIES == 0
                    && !payment_findings::is_held(self.tables.store(), payment.id).await?
                {
                    tracing::error!(
                        payment = %payment.id, order = %payment.order, state = payment.state.as_str(), tries,
                        "a payment cannot be settled; the reconciler goes on trying; look it up at the provider"
                    );
                }
                now.plus_ms(backoff_ms(tries))
            }
        };
        rows::postpone(self.tables.store(), payment.id, payment.state, try_at).await
    }

    /// Counts unsettled payments, and deletes idempotency keys that are older than promised.
    async fn update_counts_and_keys(&self) -> Result<(), StoreError> {
        let now = self.engine.now();
        let unsettled = rows::count_unsettled(self.tables.store(), now.plus_ms(-STUCK_AFTER_MS)).await?;
        let parts = rows::count_pending(self.tables.store()).await?;
        self.metrics.set_unsettled(unsettled.all + parts, unsettled.stuck);
        let before = now.plus_ms(-2 * KEY_LIFE_MS);
        rows::delete_keys(self.tables.store(), before, KEYS_FORGOTTEN_MAX).await?;
        admin_keys::delete_old(self.tables.store(), before, KEYS_FORGOTTEN_MAX).await?;
        Ok(())
    }
}

/// Logs that the tables failed for one payment of a pass, which goes on with the others.
fn log_skipped(payment: Uuid, error: &StoreError) -> PassResult {
    tracing::warn!(
        %payment, error = describe_error(error),
        "reading or writing an unsettled payment failed; the reconciler retries it; check the database"
    );
    PassResult::Silent
}

/// Twice as long with each try.
fn backoff_ms(tries: i64) -> i64 {
    let wait_ms = 1_000_i64.checked_shl(u32::try_from(tries).unwrap_or(u32::MAX)).filter(|ms| *ms > 0);
    wait_ms.unwrap_or(TRY_EVERY_MS_MAX).min(TRY_EVERY_MS_MAX)
}
