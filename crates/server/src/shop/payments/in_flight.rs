//! The orders that this process is paying, settling or refunding, each at most once at a time. It never waits, except to drain. Between
//! processes the lease in the payment's row decides ([`super::lease`]).

use super::PaymentError;
use sale::{BuyerId, OrderId};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Payments in flight, at most: each holds a task and waits for a provider. The next one gets 503.
pub const IN_FLIGHT_MAX: usize = 4_096;

/// The orders in flight. The buyer is part of the entry, so that another account that tries an order does not block its owner.
#[derive(Debug, Default)]
pub struct PaymentsInFlight {
    orders: Mutex<HashSet<(BuyerId, OrderId)>>,
    len: watch::Sender<usize>,
}

/// The right to work on an order's money.
#[derive(Debug)]
pub struct PaymentPermit {
    in_flight: Arc<PaymentsInFlight>,
    order: (BuyerId, OrderId),
}

impl PaymentsInFlight {
    /// Begins work on an order. `Ok(None)` when it is in flight.
    ///
    /// # Errors
    /// [`PaymentError::Overloaded`] when there are [`IN_FLIGHT_MAX`] already.
    pub fn begin(
        self: &Arc<Self>,
        buyer: BuyerId,
        order: OrderId,
    ) -> Result<Option<PaymentPermit>, PaymentError> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.len() >= IN_FLIGHT_MAX {
            return Err(PaymentError::Overloaded);
        }
        if !orders.insert((buyer, order)) {
            return Ok(None);
        }
        self.len.send_replace(orders.len());
        Ok(Some(PaymentPermit { in_flight: Arc::clone(self), order: (buyer, order) }))
    }

    /// Waits until none is left, at most `limit`. `false` when some are.
    pub async fn drain(&self, limit: Duration) -> bool {
        let mut len = self.len.subscribe();
        tokio::time::timeout(limit, len.wait_for(|len| *len == 0)).await.is_ok()
    }
}

impl Drop for PaymentPermit {
    fn drop(&mut self) {
        let mut orders = self.in_flight.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.remove(&self.order);
        self.in_flight.len.send_replace(orders.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[tokio::test]
    async fn an_order_is_worked_on_by_one_at_a_time() {
        let in_flight = Arc::new(PaymentsInFlight::default());
        let (buyer, order) = (BuyerId(Uuid::from_u128(1)), OrderId(Uuid::from_u128(2)));
        let permit = in_flight.begin(buyer, order).unwrap().unwrap();
        assert!(in_flight.begin(buyer, order).unwrap().is_none());
        assert!(
            in_flight.begin(BuyerId(Uuid::from_u128(3)), order).unwrap().is_some(),
            "another account does not block it"
        );
        assert!(!in_flight.drain(Duration::ZERO).await);
        drop(permit);
        assert!(in_flight.drain(Duration::ZERO).await);
        assert!(in_flight.begin(buyer, order).unwrap().is_some());
    }
}
