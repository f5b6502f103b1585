//! Settles payments that a crash, a lost reply or a failing disk left between two steps. It charges no buyer again: a payment that the
//! provider never saw is voided, and one that the provider knows is finished as the law decides.

use super::{PaymentError, PaymentService};
use crate::shop::idempotency_keys::KEY_LIFE_MS;
use crate::shop::tenancy::Tenancy;
use crate::store::payments::{self as rows, PaymentRow};
use crate::store::{StoreError, admin_keys};
use engine::error_text::describe_error;
use futures::future::join_all;
use sale::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Payments of one pass, at most; a full pass is followed by another at once.
const BATCH_LEN_MAX: u32 = 256;

/// Payments that are settled concurrently: enough for a slow provider, too few to overload a fast one.
const CONCURRENT_MAX: usize = 8;

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
        let payments = rows::list_unsettled(self.tables.store(), due, BATCH_LEN_MAX).await?;
        let mut done = ReconcileReport::default();
        for some in payments.chunks(CONCURRENT_MAX) {
            for settled in join_all(some.iter().map(|payment| self.reconcile_payment(payment, due))).await {
                if settled? {
                    done.settled += 1;
                } else {
                    done.waiting += 1;
                }
            }
        }
        self.metrics.count_settled(done.settled);
        Ok(done)
    }

    /// Settles one payment, if that is possible now. `false` when it is not.
    async fn reconcile_payment(
        self: &Arc<Self>,
        payment: &PaymentRow,
        due: Timestamp,
    ) -> Result<bool, StoreError> {
        let permit = match self.in_flight.begin(payment.buyer, payment.order) {
            Ok(Some(permit)) => permit,
            // It is in flight, or too many others are.
            Ok(None) | Err(PaymentError::Overloaded) => return Ok(false),
            Err(_) => return Ok(false),
        };
        // Another instance may have leased it.
        let Some(held) = self.acquire_lease(payment.id, due).await? else { return Ok(false) };
        // Its state may have changed before the lease: `settle_payment` leaves a settled payment as it is.
        self.with_lease(&held, self.settle_payment(&held)).await?;
        let now = rows::find(self.tables.store(), payment.id).await?;
        let left = now.filter(|now| !now.state.is_settled());
        if let Some(left) = &left {
            self.postpone(left).await?;
        }
        drop(permit);
        Ok(left.is_none())
    }

    async fn postpone(&self, payment: &PaymentRow) -> Result<(), StoreError> {
        let tries = payment.tries + 1;
        if tries % LOG_EVERY_TRIES == 0 {
            tracing::error!(
                payment = %payment.id, order = %payment.order, state = payment.state.as_str(), tries,
                "a payment cannot be settled; the reconciler goes on trying; look it up at the provider"
            );
        }
        let wait_ms = 1_000_i64.checked_shl(u32::try_from(tries).unwrap_or(u32::MAX)).filter(|ms| *ms > 0);
        let wait_ms = wait_ms.unwrap_or(TRY_EVERY_MS_MAX).min(TRY_EVERY_MS_MAX);
        rows::postpone(self.tables.store(), payment.id, payment.state, self.engine.now().plus_ms(wait_ms))
            .await
    }

    /// Counts unsettled payments, and deletes idempotency keys that are older than promised.
    async fn update_counts_and_keys(&self) -> Result<(), StoreError> {
        let now = self.engine.now();
        let unsettled = rows::count_unsettled(self.tables.store(), now.plus_ms(-STUCK_AFTER_MS)).await?;
        self.metrics.set_unsettled(unsettled.all, unsettled.stuck);
        let before = now.plus_ms(-2 * KEY_LIFE_MS);
        rows::delete_keys(self.tables.store(), before, KEYS_FORGOTTEN_MAX).await?;
        admin_keys::delete_old(self.tables.store(), before, KEYS_FORGOTTEN_MAX).await?;
        Ok(())
    }
}
