//! The steps of a payment. Each begins with a durable row, ends with the next one, and may be repeated: after a crash the reconciler
//! reads the row and repeats the step. Nothing here writes a reply.

use super::disputes::DisputedMoney;
use super::refund::has_no_money;
use super::{PaymentError, PaymentService, STEP_TRIES, with_engine_timeout};
use crate::payments::{AuthorisationResult, PaymentStatus, ProviderAnswer};
use crate::store::StoreError;
use crate::store::payments::{LeasedPayment, PaymentRow, PaymentState, PaymentStep, StepWrite};
use engine::error_text::describe_error;
use engine::{DecidedOrder, Decision, EngineError};
use sale::{OrderStatus, OrderView, Timestamp};
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
    /// The buyer has a page to pay on.
    Open {
        order: OrderView,
        payment: Box<PaymentRow>,
        /// Whether the provider has the payment as submitted: it is in progress.
        is_submitted: bool,
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
            PaymentState::Started | PaymentState::Open => match self.find_at_provider(payment).await {
                Ok(Some(answer)) => self.apply_provider_answer(payment, answer).await,
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
        match self.find_at_provider(payment).await {
            Ok(Some(answer)) => self.apply_provider_answer(payment, answer).await,
            Ok(None) => self.authorise(payment).await,
            Err(_) => Ok(SettleResult::Pending),
        }
    }

    /// Has the law prolong the hold, then the provider authorise the money, then the law confirm the order. A payment on a page of the
    /// provider is opened instead: the hold is not prolonged for a buyer who has not paid.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub(super) async fn authorise(&self, payment: &LeasedPayment) -> Result<SettleResult, StoreError> {
        let is_held = if self.is_redirect(payment) {
            self.find_held_order(payment).await.map(|order| order.is_some())
        } else {
            self.begin_for_law(payment).await.map(|order| order.is_some())
        };
        match is_held {
            Ok(true) => {}
            // Its hold is over, or it was given back or confirmed meanwhile. The provider was not called, so no money moves.
            Ok(false) => {
                self.void_unseen_payment(payment).await?;
                return Ok(SettleResult::Refused);
            }
            // The reconciler abandons it, unless the same request comes again.
            Err(error) => {
                log_unsettled(payment, &error);
                return Ok(SettleResult::Pending);
            }
        }
        match self.authorise_at_provider(payment).await {
            AuthorisationResult::Authorised => {
                let answer = ProviderAnswer::with_status(PaymentStatus::Authorised);
                self.apply_provider_answer(payment, answer).await
            }
            AuthorisationResult::Declined { reason } => self.decline(payment, &reason).await,
            AuthorisationResult::ActionNeeded(action) => {
                let answer = ProviderAnswer {
                    reference: action.reference,
                    action_url: Some(action.url),
                    ..ProviderAnswer::with_status(PaymentStatus::Open)
                };
                self.apply_provider_answer(payment, answer).await
            }
            AuthorisationResult::Unknown => Ok(SettleResult::Pending),
        }
    }

    /// Has the law prolong the hold. The order while it is held, or `None`.
    pub(super) async fn begin_for_law(
        &self,
        payment: &LeasedPayment,
    ) -> Result<Option<OrderView>, EngineError> {
        let PaymentRow { buyer, order, sale, .. } = **payment;
        let begun = self.retry_overloaded(|| self.engine.begin_payment(sale, buyer, order)).await?;
        let order = begun.ok().map(|begun| begun.order);
        Ok(order.filter(|order| matches!(order.status, OrderStatus::Pending { .. })))
    }

    /// Moves a payment that is started or open to the state that the provider's answer gives.
    async fn apply_provider_answer(
        &self,
        payment: &LeasedPayment,
        answer: ProviderAnswer,
    ) -> Result<SettleResult, StoreError> {
        match answer.status {
            PaymentStatus::Open | PaymentStatus::Submitted => self.keep_open(payment, answer).await,
            PaymentStatus::Authorised | PaymentStatus::Captured => {
                // Of a payment on a page the law does not know yet. If it refuses, it refuses to confirm the order, too.
                if self.is_redirect(payment)
                    && let Err(error) = self.begin_for_law(payment).await
                {
                    log_unsettled(payment, &error);
                    return Ok(SettleResult::Pending);
                }
                let step = PaymentStep::Authorise { reference: answer.reference };
                match self.take_step(payment, step).await? {
                    Some(authorised) => self.confirm(&authorised).await,
                    None => Ok(SettleResult::Pending),
                }
            }
            PaymentStatus::Declined => self.decline(payment, "the payment was declined").await,
            // An earlier try to abandon it has closed it, or the provider has.
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
        match self.capture_at_provider(payment).await {
            Ok(ProviderAnswer { status: PaymentStatus::Captured, .. }) => {
                match self.change_state(payment, PaymentState::Captured).await {
                    Ok(Some(captured)) => return (*captured).clone(),
                    // Another process took the lease, and captures it.
                    Ok(None) => {}
                    Err(error) => log_unsettled(payment, &error),
                }
            }
            Ok(answer) => tracing::error!(
                payment = %payment.id, order = %payment.order, status = answer.status.as_str(),
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
    pub(super) async fn end_payment(&self, payment: &LeasedPayment) -> bool {
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

    /// Voids a payment that the provider never saw, or whose page is to be closed, so that a late authorisation is declined.
    pub(super) async fn void_unseen_payment(
        &self,
        payment: &LeasedPayment,
    ) -> Result<SettleResult, StoreError> {
        match self.take_step(payment, PaymentStep::Abandon).await? {
            Some(voiding) => self.void(&voiding).await,
            None => Ok(SettleResult::Pending),
        }
    }

    /// Voids the money, or refunds it if it was captured; then the payment has ended for the law, too. So it has when a lost dispute has given
    /// the money to the buyer.
    async fn void(&self, payment: &LeasedPayment) -> Result<SettleResult, StoreError> {
        let reply = match self.void_at_provider(payment).await {
            Ok(ProviderAnswer { status: PaymentStatus::Captured, refunded_minor, .. }) => {
                self.refund_at_provider(payment, payment.id, payment.amount.minor - refunded_minor).await
            }
            reply => reply,
        };
        let is_lost = reply.as_ref().is_ok_and(|answer| answer.is_refund_refused)
            && self.refresh_disputes(payment).await? == Ok(DisputedMoney::Lost);
        match reply.map(|answer| answer.status) {
            Ok(status) if is_lost || has_no_money(status) => {
                if !self.renew_lease(payment).await? || !self.end_payment(payment).await {
                    return Ok(SettleResult::Pending);
                }
                self.change_state(payment, PaymentState::Voided).await?;
                if !has_no_money(status) {
                    tracing::warn!(
                        payment = %payment.id,
                        order = %payment.order,
                        "the bank has given the money of an order that is not sold to the buyer after a dispute; if the dispute was about \
                         less, pay the rest back in another way"
                    );
                }
                Ok(SettleResult::Voided)
            }
            // The buyer has submitted it, and the bank has not answered, or a dispute holds its money: it is voided after that.
            Ok(_) => Ok(SettleResult::Pending),
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
        self.take_step_until(payment, step, self.next_try_at()).await
    }

    /// The same with the time at which the reconciler looks at it.
    pub(super) async fn take_step_until(
        &self,
        payment: &LeasedPayment,
        step: PaymentStep,
        try_at: Timestamp,
    ) -> Result<Option<LeasedPayment>, StoreError> {
        let step = StepWrite { leased: payment.clone(), step, now: self.engine.now(), try_at };
        let moved = self.tables.take_step(step).await?;
        moved.iter().for_each(LeasedPayment::mark_durable);
        Ok(moved)
    }
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
