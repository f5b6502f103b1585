//! Holding a payment while it is worked on, so that two processes never do it at once: one may be refused by the law just before
//! the other is confirmed, and then one would let the money go that the other has taken.
//!
//! The lease is in the payment's row. Who lives renews it; who died loses it after [`super::Timing::lease_ms`]. It rests on no
//! clock: every step names its holder in the statement that makes it, so one whose lease was taken moves nothing, and what a
//! provider or the law are asked twice they do once.

use super::Payments;
use crate::store::StoreError;
use crate::store::payments::{self as rows, Held, Lease};
use sale::Timestamp;
use std::time::Duration;
use uuid::Uuid;

impl Payments {
    /// A lease of its own for a piece of work.
    pub(super) fn lease(&self) -> Lease {
        Lease { holder: Uuid::new_v4(), until: self.lease_until() }
    }

    /// Takes a payment in hand. `None` when another process has it, by a lease that is not over at `now`. Whoever is alone need
    /// not ask: the payment is not in flight here, so who held it is dead.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub(super) async fn take(&self, payment: Uuid, now: Timestamp) -> Result<Option<Held>, StoreError> {
        let now = if self.timing.sharing.is_shared() { now } else { Timestamp::MAX };
        rows::take(&self.store, payment, self.lease(), now).await
    }

    /// Does a piece of work on a payment, and holds it meanwhile, however long that takes. Afterwards it is in nobody's hand.
    pub(super) async fn holding<T>(&self, held: &Held, work: impl Future<Output = T>) -> T {
        let done = tokio::select! {
            done = work => done,
            never = self.go_on_holding(held) => match never {},
        };
        // The next one need not wait until the lease is over.
        if let Err(error) = rows::let_go(&self.store, held).await {
            super::settle::tell(held, &error);
        }
        done
    }

    /// Whether a payment is still in this hand; it is so for a while from now on.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub(super) async fn is_still_held(&self, held: &Held) -> Result<bool, StoreError> {
        rows::renew(&self.store, held, self.lease_until()).await
    }

    async fn go_on_holding(&self, held: &Held) -> std::convert::Infallible {
        let pause = Duration::from_millis(self.timing.lease_ms.unsigned_abs() / 4);
        loop {
            tokio::time::sleep(pause).await;
            // If it cannot be renewed, the step that comes next finds out.
            let _lost = self.is_still_held(held).await;
        }
    }

    fn lease_until(&self) -> Timestamp {
        self.engine.now().plus_ms(self.timing.lease_ms)
    }
}
