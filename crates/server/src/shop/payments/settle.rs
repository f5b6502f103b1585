//! The steps of a payment. Each begins with a durable row and ends with the next one, and each may be repeated: after a
//! crash the reconciler takes the row and does the step again. Nothing here talks to a buyer.

use super::{CONFIRM_TRIES, PaymentError, PaymentService, with_engine_timeout};
use crate::payments::{AuthorisationResult, ChargeRequest, IntentId, PaymentProvider, PaymentStatus};
use crate::shop::orders::PricedOrder;
use crate::store::StoreError;
use crate::store::payments::{self as rows, LeasedPayment, PaymentRow, PaymentState};
use engine::{DecidedOrder, Decision, EngineError};
use sale::{OrderView, ReleaseReason};
use std::time::Duration;

/// What a payment has come to.
#[derive(Debug)]
pub(super) enum SettleResult {
    /// The order is confirmed, and the money is taken, or set aside to be taken.
    Paid(OrderView),
    /// The provider said no.
    Declined { reason: String },
    /// The law said no: the money is let go, or will be.
    Refused,
    /// Nothing came of it, and nothing will: another payment may begin.
    Voided,
    /// Over, and not by this: no other payment may begin.
    Finished,
    /// Not known yet, or not done yet. The row says how far it came.
    Pending,
}

impl PaymentService {
    /// Takes a payment from wherever it was left to its end, without charging anyone anew.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub(super) async fn resume(&self, payment: &LeasedPayment) -> Result<SettleResult, StoreError> {
        match payment.state {
            PaymentState::Started => match self.provider.find(intent_id(payment)).await {
                Ok(Some(standing)) => self.catch_up(payment, standing).await,
                Ok(None) => self.abandon(payment).await,
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

    /// Goes on with a payment that was started by the same request: finds out what became of it, and charges only if the
    /// provider never saw it.
    ///
    /// # Errors
    /// When the tables or the engine cannot be asked.
    pub(super) async fn retry(
        &self,
        payment: &LeasedPayment,
        order: &PricedOrder,
    ) -> Result<SettleResult, PaymentError> {
        match self.provider.find(intent_id(payment)).await {
            Ok(Some(standing)) => self.catch_up(payment, standing).await.map_err(log_store_failure),
            Ok(None) if self.may_still_pay(order).await? => {
                self.authorise(payment).await.map_err(log_store_failure)
            }
            Ok(None) => self.abandon(payment).await.map_err(log_store_failure),
            Err(_) => Ok(SettleResult::Pending),
        }
    }

    /// Asks the provider for the money, then the law for the unit.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub(super) async fn authorise(&self, payment: &LeasedPayment) -> Result<SettleResult, StoreError> {
        let charge = ChargeRequest {
            intent: intent_id(payment),
            amount: payment.amount,
            method: payment.method.clone(),
        };
        match self.provider.authorise(&charge).await {
            AuthorisationResult::Authorised => self.catch_up(payment, PaymentStatus::Authorised).await,
            AuthorisationResult::Declined { reason } => self.decline(payment, &reason).await,
            AuthorisationResult::Unknown => Ok(SettleResult::Pending),
        }
    }

    /// Brings a started payment up to what the provider says of it.
    async fn catch_up(
        &self,
        payment: &LeasedPayment,
        standing: PaymentStatus,
    ) -> Result<SettleResult, StoreError> {
        match standing {
            PaymentStatus::Authorised | PaymentStatus::Captured => {
                if self.step(payment, PaymentState::Authorised).await? {
                    self.confirm(&payment.with_state(PaymentState::Authorised)).await
                } else {
                    Ok(SettleResult::Pending)
                }
            }
            PaymentStatus::Declined => self.decline(payment, "the payment was declined").await,
            // Closed by an earlier attempt to abandon it.
            PaymentStatus::Voided | PaymentStatus::Refunded => self.abandon(payment).await,
        }
    }

    /// Asks the law for the unit. From here on the order may be confirmed, so nothing but a refusal lets the money go.
    async fn confirm(&self, payment: &LeasedPayment) -> Result<SettleResult, StoreError> {
        match self.confirm_order(payment).await {
            Ok(Ok(confirmed)) => {
                self.capture(payment).await;
                Ok(SettleResult::Paid(confirmed.order))
            }
            Ok(Err(refusal)) => {
                // Another may have found a unit for it meanwhile: whose hand it is in counts.
                if !self.step(payment, PaymentState::Voiding).await? {
                    return Ok(SettleResult::Pending);
                }
                tracing::info!(payment = %payment.id, order = %payment.order, %refusal, "paid too late; the money is let go");
                if let Err(error) = self.void(&payment.with_state(PaymentState::Voiding)).await {
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
        let mut wait = Duration::from_millis(20);
        for _ in 1..CONFIRM_TRIES {
            let confirmed = self.engine.confirm(payment.sale, payment.buyer, payment.order);
            match with_engine_timeout(confirmed).await {
                // Nothing was done: the queue was full for a moment.
                Err(EngineError::Overloaded) => tokio::time::sleep(wait).await,
                decided => return decided,
            }
            wait *= 2;
        }
        Err(EngineError::Overloaded)
    }

    /// Takes the money of a confirmed order. If the provider does not answer now, the reconciler asks again.
    async fn capture(&self, payment: &LeasedPayment) {
        match self.provider.capture(intent_id(payment)).await {
            Ok(PaymentStatus::Captured) => {
                if let Err(error) = self.step(payment, PaymentState::Captured).await {
                    log_unsettled(payment, &error);
                }
            }
            Ok(standing) => tracing::error!(
                payment = %payment.id, order = %payment.order, standing = standing.as_str(),
                "an order is confirmed, but its money cannot be taken"
            ),
            Err(error) => log_unsettled(payment, &error),
        }
    }

    /// Gives the units of a declined order back, then notes the refusal.
    async fn decline(&self, payment: &LeasedPayment, reason: &str) -> Result<SettleResult, StoreError> {
        // The provider took its time. Who took the payment over meanwhile may have closed it, which sounds the same as a no; and
        // the units are then not to be given back by this hand.
        if !self.renew_lease(payment).await? {
            return Ok(SettleResult::Pending);
        }
        let declined = SettleResult::Declined { reason: reason.to_owned() };
        let PaymentRow { buyer, order, sale, .. } = **payment;
        match with_engine_timeout(self.engine.release(sale, buyer, order, ReleaseReason::Declined)).await {
            // Refused: the hold was over, or cancelled, before the bank said no.
            Ok(_) => {
                rows::decline(&self.store, payment, reason, self.engine.now()).await?;
            }
            // The row stays as it is, and the reconciler gives the units back. What the bank said stands.
            Err(error) => log_unsettled(payment, &error),
        }
        Ok(declined)
    }

    /// Gives up a payment that the provider never saw, so that it will not take it either if it arrives late.
    async fn abandon(&self, payment: &LeasedPayment) -> Result<SettleResult, StoreError> {
        if !rows::abandon(&self.store, payment, self.engine.now(), self.next_try_at()).await? {
            return Ok(SettleResult::Pending);
        }
        self.void(&payment.with_state(PaymentState::Voiding)).await
    }

    /// Lets the money go, or gives it back if it had been taken.
    async fn void(&self, payment: &LeasedPayment) -> Result<SettleResult, StoreError> {
        let intent = intent_id(payment);
        let told = match self.provider.void(intent).await {
            Ok(PaymentStatus::Captured) => self.provider.refund(intent).await,
            told => told,
        };
        match told {
            Ok(PaymentStatus::Voided | PaymentStatus::Declined | PaymentStatus::Refunded) => {
                self.step(payment, PaymentState::Voided).await?;
                Ok(SettleResult::Voided)
            }
            Ok(PaymentStatus::Authorised | PaymentStatus::Captured) => Ok(SettleResult::Pending),
            Err(error) => {
                log_unsettled(payment, &error);
                Ok(SettleResult::Pending)
            }
        }
    }

    /// Notes durably that a payment has moved on. `false` when someone else moved it or took it over meanwhile.
    pub(super) async fn step(&self, payment: &LeasedPayment, to: PaymentState) -> Result<bool, StoreError> {
        rows::change_state(&self.store, payment, to, self.engine.now(), self.next_try_at()).await
    }
}

pub(super) fn intent_id(payment: &PaymentRow) -> IntentId {
    IntentId(payment.id)
}

/// The tables failed when money may have moved already.
#[expect(clippy::needless_pass_by_value, reason = "it is made for map_err")]
pub(super) fn log_store_failure(error: StoreError) -> PaymentError {
    tracing::error!(error = &error as &dyn std::error::Error, "a payment waits for the tables");
    PaymentError::Unsettled
}

/// A step could not be made now; the reconciler makes it.
pub(super) fn log_unsettled(payment: &PaymentRow, error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(payment = %payment.id, order = %payment.order, error, "a payment waits to be settled");
}
