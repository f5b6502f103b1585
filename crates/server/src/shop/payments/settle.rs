//! The steps of a payment. Each begins with a durable row, ends with the next one, and may be repeated: after a crash the reconciler
//! reads the row and repeats the step. Nothing here writes a reply.

use super::{PaymentError, PaymentService, STEP_TRIES, with_engine_timeout};
use crate::payments::{AuthorisationResult, ChargeRequest, IntentId, PaymentProvider, PaymentStatus};
use crate::store::StoreError;
use crate::store::payments::{self as rows, LeasedPayment, PaymentRow, PaymentState, PaymentStep};
use engine::error_text::describe_error;
use engine::{DecidedOrder, Decision, EngineError};
use futures::FutureExt;
use sale::{OrderStatus, OrderView};
use std::time::Duration;

/// How the work on a payment ended.
#[derive(Debug)]
pub(super) enum SettleResult {
    /// The order is confirmed, and the money is captured, or will be.
    Paid {
        order: OrderView,
        /// The payment's row as this process wrote it last.
        payment: Box<PaymentRow>,
    },
    /// The provider declined.
    Declined { reason: String },
    /// The law refused: the money is voided, or will be.
    Refused,
    /// The money is voided: another payment may begin.
    Voided,
    /// It was settled before: no other payment may begin.
    Finished,
    /// Not known or not done yet. The row has the last step.
    Pending,
}

impl PaymentService {
    /// Settles a payment from its last step on, without a new charge.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub(super) async fn settle_payment(&self, payment: &LeasedPayment) -> Result<SettleResult, StoreError> {
        match payment.state {
            PaymentState::Started => match self.provider.find(intent_id(payment)).await {
                Ok(Some(status)) => self.apply_provider_status(payment, status).await,
                Ok(None) => self.void_unseen_payment(payment).await,
                Err(_) => Ok(SettleResult::Pending),
            },
            PaymentState::Authorised => self.confirm(payment).await,
            PaymentState::Voiding => self.void(payment).await,
            PaymentState::Refunding => {
                self.finish_refund(payment).await.map(|finished| finished.into_settle_result())
            }
            PaymentState::Declined => Ok(SettleResult::Declined { reason: payment.reason.clone() }),
            PaymentState::Voided => Ok(SettleResult::Voided),
            PaymentState::Captured | PaymentState::Refunded => Ok(SettleResult::Finished),
        }
    }

    /// Continues a payment that the same request started: reads its status from the provider, and charges only if the provider never saw
    /// it.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub(super) async fn retry_payment(&self, payment: &LeasedPayment) -> Result<SettleResult, StoreError> {
        match self.provider.find(intent_id(payment)).await {
            Ok(Some(status)) => self.apply_provider_status(payment, status).await,
            Ok(None) => self.authorise(payment).await,
            Err(_) => Ok(SettleResult::Pending),
        }
    }

    /// Has the law prolong the hold, then the provider authorise the money, then the law confirm the order.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub(super) async fn authorise(&self, payment: &LeasedPayment) -> Result<SettleResult, StoreError> {
        let PaymentRow { buyer, order, sale, .. } = **payment;
        match self.retry_overloaded(|| self.engine.begin_payment(sale, buyer, order)).await {
            Ok(Ok(begun)) if matches!(begun.order.status, OrderStatus::Pending { .. }) => {}
            // Its hold is over, or it was given back or confirmed meanwhile. The provider was not called, so no money moves.
            Ok(_) => {
                self.void_unseen_payment(payment).await?;
                return Ok(SettleResult::Refused);
            }
            // The reconciler abandons it, unless the same request comes again.
            Err(error) => {
                log_unsettled(payment, &error);
                return Ok(SettleResult::Pending);
            }
        }
        let charge = ChargeRequest {
            intent: intent_id(payment),
            amount: payment.amount,
            method: payment.method.clone(),
        };
        match self.provider.authorise(&charge).await {
            AuthorisationResult::Authorised => {
                self.apply_provider_status(payment, PaymentStatus::Authorised).await
            }
            AuthorisationResult::Declined { reason } => self.decline(payment, &reason).await,
            AuthorisationResult::Unknown => Ok(SettleResult::Pending),
        }
    }

    /// Moves a started payment to the state that the provider's status gives.
    async fn apply_provider_status(
        &self,
        payment: &LeasedPayment,
        status: PaymentStatus,
    ) -> Result<SettleResult, StoreError> {
        match status {
            PaymentStatus::Authorised | PaymentStatus::Captured => {
                match self.change_state(payment, PaymentState::Authorised).await? {
                    Some(authorised) => self.confirm(&authorised).await,
                    None => Ok(SettleResult::Pending),
                }
            }
            PaymentStatus::Declined => self.decline(payment, "the payment was declined").await,
            // An earlier try to abandon it has closed it.
            PaymentStatus::Voided | PaymentStatus::Refunded => self.void_unseen_payment(payment).await,
        }
    }

    /// Has the law confirm the order. From here on it may be confirmed, so only a refusal voids the money.
    async fn confirm(&self, payment: &LeasedPayment) -> Result<SettleResult, StoreError> {
        match self.confirm_order(payment).await {
            Ok(Ok(confirmed)) => {
                let payment = self.capture(payment).await;
                Ok(SettleResult::Paid { order: confirmed.order, payment: Box::new(payment) })
            }
            Ok(Err(refusal)) => {
                // Another process may have confirmed it meanwhile: the lease decides.
                let Some(voiding) = self.change_state(payment, PaymentState::Voiding).await? else {
                    return Ok(SettleResult::Pending);
                };
                tracing::info!(payment = %payment.id, order = %payment.order, %refusal, "a payment came too late; the money is voided");
                if let Err(error) = self.void(&voiding).await {
                    log_unsettled(payment, &error);
                }
                Ok(SettleResult::Refused)
            }
            Err(error) => {
                log_unsettled(payment, &error);
                Ok(SettleResult::Pending)
            }
        }
    }

    async fn confirm_order(&self, payment: &LeasedPayment) -> Decision<DecidedOrder> {
        self.retry_overloaded(|| self.engine.confirm(payment.sale, payment.buyer, payment.order)).await
    }

    /// Sends a step to the engine, and again while its queue is full.
    async fn retry_overloaded<F>(&self, send: impl Fn() -> F) -> Decision<DecidedOrder>
    where
        F: Future<Output = Decision<DecidedOrder>>,
    {
        let mut wait = Duration::from_millis(20);
        for _ in 1..STEP_TRIES {
            match with_engine_timeout(send()).await {
                // The queue was full, so nothing was done.
                Err(EngineError::Overloaded) => tokio::time::sleep(wait).await,
                decided => return decided,
            }
            wait *= 2;
        }
        Err(EngineError::Overloaded)
    }

    /// Captures the money of a confirmed order, and returns the payment as it is then. If the provider does not answer, the reconciler
    /// tries again.
    async fn capture(&self, payment: &LeasedPayment) -> PaymentRow {
        match self.provider.capture(intent_id(payment)).await {
            Ok(PaymentStatus::Captured) => match self.change_state(payment, PaymentState::Captured).await {
                Ok(Some(captured)) => return (*captured).clone(),
                // Another process took the lease, and captures it.
                Ok(None) => {}
                Err(error) => log_unsettled(payment, &error),
            },
            Ok(status) => tracing::error!(
                payment = %payment.id, order = %payment.order, status = status.as_str(),
                "an order is confirmed, but the provider does not capture its money; the reconciler retries; look it up at the provider"
            ),
            Err(error) => log_unsettled(payment, &error),
        }
        (**payment).clone()
    }

    /// Ends a declined payment for the law, so that its order has its hold back, then marks the payment as declined.
    async fn decline(&self, payment: &LeasedPayment, reason: &str) -> Result<SettleResult, StoreError> {
        // The provider may have taken longer than the lease. Another process may have closed the intent since, which reads like a decline,
        // and have begun another payment, which this process must not end.
        if !self.renew_lease(payment).await? {
            return Ok(SettleResult::Pending);
        }
        let declined = SettleResult::Declined { reason: reason.to_owned() };
        if self.end_payment(payment).await {
            self.take_step(payment, PaymentStep::Decline(reason.to_owned())).await?;
        }
        Ok(declined)
    }

    /// Ends a payment for the law. `false` when the engine does not answer: the row stays as it is, and the reconciler repeats the step.
    async fn end_payment(&self, payment: &LeasedPayment) -> bool {
        let PaymentRow { buyer, order, sale, .. } = **payment;
        match self.retry_overloaded(|| self.engine.end_payment(sale, buyer, order)).await {
            // A refusal means that there is no such order of this buyer, so no hold either.
            Ok(_) => true,
            Err(error) => {
                log_unsettled(payment, &error);
                false
            }
        }
    }

    /// Voids a payment that the provider never saw, so that a late authorisation is declined.
    async fn void_unseen_payment(&self, payment: &LeasedPayment) -> Result<SettleResult, StoreError> {
        match self.take_step(payment, PaymentStep::Abandon).await? {
            Some(voiding) => self.void(&voiding).await,
            None => Ok(SettleResult::Pending),
        }
    }

    /// Voids the money, or refunds it if it was captured; then the payment has ended for the law, too.
    async fn void(&self, payment: &LeasedPayment) -> Result<SettleResult, StoreError> {
        let intent = intent_id(payment);
        let status = match self.provider.void(intent).await {
            Ok(PaymentStatus::Captured) => self.provider.refund(intent).await,
            status => status,
        };
        match status {
            Ok(PaymentStatus::Voided | PaymentStatus::Declined | PaymentStatus::Refunded) => {
                if !self.renew_lease(payment).await? || !self.end_payment(payment).await {
                    return Ok(SettleResult::Pending);
                }
                self.change_state(payment, PaymentState::Voided).await?;
                Ok(SettleResult::Voided)
            }
            Ok(PaymentStatus::Authorised | PaymentStatus::Captured) => Ok(SettleResult::Pending),
            Err(error) => {
                log_unsettled(payment, &error);
                Ok(SettleResult::Pending)
            }
        }
    }

    /// Moves a payment to its next state, durably. `None` when the lease is lost.
    pub(super) async fn change_state(
        &self,
        payment: &LeasedPayment,
        to: PaymentState,
    ) -> Result<Option<LeasedPayment>, StoreError> {
        self.take_step(payment, PaymentStep::Change(to)).await
    }

    async fn take_step(
        &self,
        payment: &LeasedPayment,
        step: PaymentStep,
    ) -> Result<Option<LeasedPayment>, StoreError> {
        let (leased, now, try_at) = (payment.clone(), self.engine.now(), self.next_try_at());
        let moved = self
            .tables
            .write(move |writing| {
                async move { rows::take_step(writing, &leased, &step, now, try_at).await }.boxed()
            })
            .await?;
        moved.iter().for_each(LeasedPayment::mark_durable);
        Ok(moved)
    }
}

pub(super) fn intent_id(payment: &PaymentRow) -> IntentId {
    IntentId(payment.id)
}

/// Logs that the tables failed after money may have moved.
#[expect(clippy::needless_pass_by_value, reason = "it is made for map_err")]
pub(super) fn log_store_failure(error: StoreError) -> PaymentError {
    tracing::error!(
        error = describe_error(&error),
        "writing a payment failed; the reconciler settles it; check the database"
    );
    PaymentError::Unsettled
}

/// Logs that a step failed; the reconciler repeats it.
pub(super) fn log_unsettled(payment: &PaymentRow, error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(payment = %payment.id, order = %payment.order, error, "a step of a payment failed; the reconciler retries it");
}
