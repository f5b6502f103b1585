//! Payments on a page of the provider that their buyers have not finished. Such a payment keeps no unit beyond its hold: it is closed when
//! the hold ends, or the order is given up. Once the provider has it as submitted, it is in progress like any other.

use super::settle::{SettleResult, log_unsettled};
use super::{PaymentService, with_engine_timeout};
use crate::payments::{PaymentStatus, ProviderAnswer};
use crate::store::StoreError;
use crate::store::payments::{LeasedPayment, PaymentRow, PaymentState, PaymentStep};
use engine::EngineError;
use sale::{OrderStatus, OrderView, Timestamp};

/// Longest time between two questions about a payment that the provider has as submitted, in milliseconds. Notices come earlier.
const SUBMITTED_EVERY_MS_MAX: i64 = 5_000;

/// The same for one that is open.
const OPEN_EVERY_MS_MAX: i64 = 60_000;

/// An open payment is asked about so long before its hold ends, in milliseconds: what was paid on the page, and came without a notice, is
/// confirmed in time.
const BEFORE_END_MS: i64 = 5_000;

impl PaymentService {
    /// Keeps a payment open while its order is held; otherwise it is closed at the provider.
    pub(super) async fn keep_open(
        &self,
        payment: &LeasedPayment,
        answer: ProviderAnswer,
    ) -> Result<SettleResult, StoreError> {
        let is_submitted = answer.status == PaymentStatus::Submitted;
        let held = if is_submitted {
            self.begin_for_law(payment).await
        } else {
            self.find_order_without_payment(payment).await
        };
        let order = match held {
            Ok(Some(order)) => order,
            // Without an order the buyer must not pay, or has paid too late: the money goes back when the bank has answered.
            Ok(None) => {
                self.void_unseen_payment(payment).await?;
                return Ok(SettleResult::Refused);
            }
            Err(error) => {
                log_unsettled(payment, &error);
                return Ok(SettleResult::Pending);
            }
        };
        let open = if payment.state == PaymentState::Started {
            let ProviderAnswer { reference, action_url, .. } = answer;
            let try_at = self.ask_again_at(&order, 1, false);
            let step = PaymentStep::Open { reference, action_url };
            match self.take_step_until(payment, step, try_at).await? {
                Some(open) => open,
                None => return Ok(SettleResult::Pending),
            }
        } else {
            payment.clone()
        };
        Ok(SettleResult::Open { order, payment: Box::new((*open).clone()), is_submitted })
    }

    /// The order of an open payment, if it is held. If the bank has said no, and the page is open for another card, the payment is not in
    /// progress any more.
    async fn find_order_without_payment(
        &self,
        payment: &LeasedPayment,
    ) -> Result<Option<OrderView>, EngineError> {
        let order = self.find_held_order(payment).await?;
        if !order.is_some_and(|order| order.status.is_paying()) {
            return Ok(order);
        }
        // Another process may have taken the lease, and have begun another payment, which this process must not end.
        let is_ours = match self.renew_lease(payment).await {
            Ok(is_ours) => is_ours,
            Err(error) => {
                log_unsettled(payment, &error);
                false
            }
        };
        if !is_ours || !self.end_payment(payment).await {
            return Err(EngineError::NotRecorded);
        }
        self.find_held_order(payment).await
    }

    /// The order of a payment, if it is held.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub(super) async fn find_held_order(
        &self,
        payment: &PaymentRow,
    ) -> Result<Option<OrderView>, EngineError> {
        let found = with_engine_timeout(self.engine.order_to_pay(payment.order)).await?;
        let order = found.map(|(_, order)| order);
        Ok(order.filter(|order| matches!(order.status, OrderStatus::Pending { .. })))
    }

    /// When the provider is asked about an open payment again after so many tries: shortly before the hold's end, and at its end to close it,
    /// at the latest. A provider that did not answer is asked again soon.
    pub(super) fn ask_again_at(&self, order: &OrderView, tries: i64, is_silent: bool) -> Timestamp {
        let now = self.engine.now();
        let (ends_at, longest_ms) = match order.status {
            OrderStatus::Pending { paying_until: Some(until), .. } => (until, SUBMITTED_EVERY_MS_MAX),
            OrderStatus::Pending { until, paying_until: None } => (until, OPEN_EVERY_MS_MAX),
            _ => (now, OPEN_EVERY_MS_MAX),
        };
        let longest_ms = if is_silent { longest_ms.min(SUBMITTED_EVERY_MS_MAX) } else { longest_ms };
        let before_end = ends_at.plus_ms(-BEFORE_END_MS);
        let last = if before_end > now { before_end } else { ends_at.max(now) };
        now.plus_ms((1_000_i64 << tries.clamp(0, 16)).min(longest_ms)).min(last)
    }
}
