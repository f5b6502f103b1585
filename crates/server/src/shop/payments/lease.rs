//! Holding a payment while it is worked on, so that two processes never do it at once: one may be refused by the law just before
//! the other is confirmed, and then one would let the money go that the other has taken.
//!
//! The lease is in the payment's row. Who lives renews it; who died loses it after [`super::Timing::lease_ms`]. It rests on no
//! clock: every step names its holder in the statement that makes it, so one whose lease was taken moves nothing, and what a
//! provider or the law are asked twice they do once.

use super::PaymentService;
use crate::store::StoreError;
use crate::store::payments::{self as rows, LeasedPayment, PaymentLease};
use sale::Timestamp;
use std::time::Duration;
use uuid::Uuid;

impl PaymentService {
    /// A lease of its own for a piece of work.
    pub(super) fn new_lease(&self) -> PaymentLease {
        PaymentLease { holder: Uuid::new_v4(), until: self.lease_until() }
    }

    /// Takes a payment in hand. `None` when another process has it, by a lease that is not over at `now`. Whoever is alone need
    /// not ask: the payment is not in flight here, so who held it is dead.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub(super) async fn acquire_lease(
        &self,
        payment: Uuid,
        now: Timestamp,
    ) -> Result<Option<LeasedPayment>, StoreError> {
        let now = if self.timing.tenancy.is_cluster() { now } else { Timestamp::MAX };
        rows::acquire_lease(&self.store, payment, self.new_lease(), now).await
    }

    /// Does a piece of work on a payment, and holds it meanwhile, however long that takes. Afterwards it is in nobody's hand.
    pub(super) async fn with_lease<T>(&self, held: &LeasedPayment, work: impl Future<Output = T>) -> T {
        let done = tokio::select! {
            done = work => done,
            never = self.keep_renewing(held) => match never {},
        };
        // The next one need not wait until the lease is over.
        if let Err(error) = rows::release_lease(&self.store, held).await {
            super::settle::log_unsettled(held, &error);
        }
        done
    }

    /// Whether a payment is still in this hand; it is so for a while from now on.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub(super) async fn renew_lease(&self, held: &LeasedPayment) -> Result<bool, StoreError> {
        rows::renew_lease(&self.store, held, self.lease_until()).await
    }

    async fn keep_renewing(&self, held: &LeasedPayment) -> std::convert::Infallible {
        let pause = Duration::from_millis(self.timing.lease_ms.unsigned_abs() / 4);
        loop {
            tokio::time::sleep(pause).await;
            // If it cannot be renewed, the step that comes next finds out.
            let _lost = self.renew_lease(held).await;
        }
    }

    fn lease_until(&self) -> Timestamp {
        self.engine.now().plus_ms(self.timing.lease_ms)
    }
}
