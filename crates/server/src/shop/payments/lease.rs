//! Leases of payments, so that two processes never work on one at once: otherwise the law could refuse one just before it confirms the
//! other, and one would void the money that the other has captured.
//!
//! The lease is in the payment's row. A live process renews it; a dead one loses it after [`super::ReconcileTiming::lease_ms`]. Safety does
//! not depend on clocks: every step names its lease in its statement, so a process whose lease was taken changes nothing, and both the
//! provider and the law are idempotent.

use super::PaymentService;
use crate::store::StoreError;
use crate::store::payments::{self as rows, LeasedPayment, PaymentLease};
use sale::Timestamp;
use std::time::Duration;
use uuid::Uuid;

impl PaymentService {
    pub(super) fn new_lease(&self) -> PaymentLease {
        PaymentLease { holder: Uuid::new_v4(), until: self.lease_until() }
    }

    /// Leases a payment. `None` when another process has a lease that is not over at `now`. A single process ignores old leases: the
    /// payment is not in flight here, so the process that held it is dead.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub(super) async fn acquire_lease(
        &self,
        payment: Uuid,
        now: Timestamp,
    ) -> Result<Option<LeasedPayment>, StoreError> {
        rows::acquire_lease(self.tables.store(), payment, self.new_lease(), self.lease_due(now)).await
    }

    /// Leases that end until then may be taken at `now`: all of them in a single process.
    pub(super) fn lease_due(&self, now: Timestamp) -> Timestamp {
        if self.timing.tenancy.is_cluster() { now } else { Timestamp::MAX }
    }

    /// Runs work on a payment and renews its lease meanwhile, however long that takes. Afterwards the lease is given back.
    pub(super) async fn with_lease<T>(&self, held: &LeasedPayment, work: impl Future<Output = T>) -> T {
        let done = tokio::select! {
            done = work => done,
            never = self.keep_renewing(held) => match never {},
        };
        // So that the next process need not wait until the lease is over.
        if let Err(error) = rows::release_lease(self.tables.store(), held).await {
            super::settle::log_unsettled(held, &error);
        }
        done
    }

    /// Extends the lease. `false` when it is lost.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub(super) async fn renew_lease(&self, held: &LeasedPayment) -> Result<bool, StoreError> {
        rows::renew_lease(self.tables.store(), held, self.lease_until()).await
    }

    async fn keep_renewing(&self, held: &LeasedPayment) -> std::convert::Infallible {
        let pause = Duration::from_millis(self.timing.lease_ms.unsigned_abs() / 4);
        loop {
            tokio::time::sleep(pause).await;
            // If this fails, the next step finds out.
            let _lost = self.renew_lease(held).await;
        }
    }

    fn lease_until(&self) -> Timestamp {
        self.engine.now().plus_ms(self.timing.lease_ms)
    }
}
