//! The steps of a payment. Each begins with a durable row and ends with the next one, and each may be repeated: after a
//! crash the reconciler takes the row and does the step again. Nothing here talks to a buyer.

use super::{CONFIRM_TRIES, PaymentError, Payments, bounded};
use crate::payments::{Authorisation, Charge, IntentId, Provider, Standing};
use crate::shop::orders::Order;
use crate::store::StoreError;
use crate::store::payments::{self as rows, Held, Payment, State};
use engine::EngineError;
use sale::{Command, OrderView, Outcome, ReleaseReason};
use std::time::Duration;

/// What a payment has come to.
#[derive(Debug)]
pub(super) enum Settled {
    /// The order is confirmed, and the money is taken, or set aside to be taken.
    Paid(OrderView),
    /// The provider said no.
    Declined {
        /// Why.
        reason: String,
    },
    /// The law said no: the money is let go, or will be.
    Refused,
    /// Nothing came of it, and nothing will: another payment may begin.
    Voided,
    /// Over, and not by this: no other payment may begin.
    Over,
    /// Not known yet, or not done yet. The row says how far it came.
    Open,
}

impl Payments {
    /// Takes a payment from wherever it was left to its end, without charging anyone anew.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub(super) async fn resume(&self, payment: &Held) -> Result<Settled, StoreError> {
        match payment.state {
            State::Started => match self.provider.find(intent(payment)).await {
                Ok(Some(standing)) => self.catch_up(payment, standing).await,
                Ok(None) => self.abandon(payment).await,
                Err(_) => Ok(Settled::Open),
            },
            State::Authorised => self.confirm(payment).await,
            State::Voiding => self.void(payment).await,
            State::Refunding => self.finish_refund(payment).await.map(|finished| finished.settled()),
            State::Declined => Ok(Settled::Declined { reason: payment.reason.clone() }),
            State::Voided => Ok(Settled::Voided),
            State::Captured | State::Refunded => Ok(Settled::Over),
        }
    }

    /// Goes on with a payment that was started by the same request: finds out what became of it, and charges only if the
    /// provider never saw it.
    ///
    /// # Errors
    /// When the tables or the engine cannot be asked.
    pub(super) async fn retry(&self, payment: &Held, order: &Order) -> Result<Settled, PaymentError> {
        match self.provider.find(intent(payment)).await {
            Ok(Some(standing)) => self.catch_up(payment, standing).await.map_err(unsettled),
            Ok(None) if self.may_still_pay(order).await? => self.authorise(payment).await.map_err(unsettled),
            Ok(None) => self.abandon(payment).await.map_err(unsettled),
            Err(_) => Ok(Settled::Open),
        }
    }

    /// Asks the provider for the money, then the law for the unit.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub(super) async fn authorise(&self, payment: &Held) -> Result<Settled, StoreError> {
        let charge =
            Charge { intent: intent(payment), amount: payment.amount, method: payment.method.clone() };
        match self.provider.authorise(&charge).await {
            Authorisation::Authorised => self.catch_up(payment, Standing::Authorised).await,
            Authorisation::Declined { reason } => self.decline(payment, &reason).await,
            Authorisation::Unknown => Ok(Settled::Open),
        }
    }

    /// Brings a started payment up to what the provider says of it.
    async fn catch_up(&self, payment: &Held, standing: Standing) -> Result<Settled, StoreError> {
        match standing {
            Standing::Authorised | Standing::Captured => {
                if self.step(payment, State::Authorised).await? {
                    self.confirm(&payment.at(State::Authorised)).await
                } else {
                    Ok(Settled::Open)
                }
            }
            Standing::Declined => self.decline(payment, "the payment was declined").await,
            // Closed by an earlier attempt to abandon it.
            Standing::Voided | Standing::Refunded => self.abandon(payment).await,
        }
    }

    /// Asks the law for the unit. From here on the order may be confirmed, so nothing but a refusal lets the money go.
    async fn confirm(&self, payment: &Held) -> Result<Settled, StoreError> {
        match self.confirm_order(payment).await {
            Ok(Outcome::Order { order, .. }) => {
                self.capture(payment).await;
                Ok(Settled::Paid(order))
            }
            Ok(Outcome::Refused(refusal)) => {
                // Another may have found a unit for it meanwhile: whose hand it is in counts.
                if !self.step(payment, State::Voiding).await? {
                    return Ok(Settled::Open);
                }
                tracing::info!(payment = %payment.id, order = %payment.order, %refusal, "paid too late; the money is let go");
                if let Err(error) = self.void(&payment.at(State::Voiding)).await {
                    tell(payment, &error);
                }
                Ok(Settled::Refused)
            }
            Ok(Outcome::Done | Outcome::Joined { .. } | Outcome::Left { .. } | Outcome::Extended { .. }) => {
                Ok(Settled::Open)
            }
            Err(error) => {
                tell(payment, &error);
                Ok(Settled::Open)
            }
        }
    }

    async fn confirm_order(&self, payment: &Held) -> Result<Outcome, EngineError> {
        let mut wait = Duration::from_millis(20);
        for _ in 1..CONFIRM_TRIES {
            let command = Command::Confirm { buyer: payment.buyer, order: payment.order };
            match bounded(self.engine.command(payment.sale, command)).await {
                // Nothing was done: the queue was full for a moment.
                Err(EngineError::Overloaded) => tokio::time::sleep(wait).await,
                answered => return answered.map(|answer| answer.outcome),
            }
            wait *= 2;
        }
        Err(EngineError::Overloaded)
    }

    /// Takes the money of a confirmed order. If the provider does not answer now, the reconciler asks again.
    async fn capture(&self, payment: &Held) {
        match self.provider.capture(intent(payment)).await {
            Ok(Standing::Captured) => {
                if let Err(error) = self.step(payment, State::Captured).await {
                    tell(payment, &error);
                }
            }
            Ok(standing) => tracing::error!(
                payment = %payment.id, order = %payment.order, standing = standing.as_str(),
                "an order is confirmed, but its money cannot be taken"
            ),
            Err(error) => tell(payment, &error),
        }
    }

    /// Gives the units of a declined order back, then notes the refusal.
    async fn decline(&self, payment: &Held, reason: &str) -> Result<Settled, StoreError> {
        // The provider took its time. Who took the payment over meanwhile may have closed it, which sounds the same as a no; and
        // the units are then not to be given back by this hand.
        if !self.is_still_held(payment).await? {
            return Ok(Settled::Open);
        }
        let declined = Settled::Declined { reason: reason.to_owned() };
        let Payment { buyer, order, sale, .. } = **payment;
        let release = Command::Release { buyer, order, reason: ReleaseReason::Declined };
        match bounded(self.engine.command(sale, release)).await {
            // Refused: the hold was over, or cancelled, before the bank said no.
            Ok(_) => {
                rows::decline(&self.store, payment, reason, self.engine.now()).await?;
            }
            // The row stays as it is, and the reconciler gives the units back. What the bank said stands.
            Err(error) => tell(payment, &error),
        }
        Ok(declined)
    }

    /// Gives up a payment that the provider never saw, so that it will not take it either if it arrives late.
    async fn abandon(&self, payment: &Held) -> Result<Settled, StoreError> {
        if !rows::abandon(&self.store, payment, self.engine.now(), self.try_at()).await? {
            return Ok(Settled::Open);
        }
        self.void(&payment.at(State::Voiding)).await
    }

    /// Lets the money go, or gives it back if it had been taken.
    async fn void(&self, payment: &Held) -> Result<Settled, StoreError> {
        let intent = intent(payment);
        let told = match self.provider.void(intent).await {
            Ok(Standing::Captured) => self.provider.refund(intent).await,
            told => told,
        };
        match told {
            Ok(Standing::Voided | Standing::Declined | Standing::Refunded) => {
                self.step(payment, State::Voided).await?;
                Ok(Settled::Voided)
            }
            Ok(Standing::Authorised | Standing::Captured) => Ok(Settled::Open),
            Err(error) => {
                tell(payment, &error);
                Ok(Settled::Open)
            }
        }
    }

    /// Notes durably that a payment has moved on. `false` when someone else moved it or took it over meanwhile.
    pub(super) async fn step(&self, payment: &Held, to: State) -> Result<bool, StoreError> {
        rows::change(&self.store, payment, to, self.engine.now(), self.try_at()).await
    }
}

pub(super) fn intent(payment: &Payment) -> IntentId {
    IntentId(payment.id)
}

/// The tables failed when money may have moved already.
#[expect(clippy::needless_pass_by_value, reason = "it is made for map_err")]
pub(super) fn unsettled(error: StoreError) -> PaymentError {
    tracing::error!(error = &error as &dyn std::error::Error, "a payment waits for the tables");
    PaymentError::Unsettled
}

/// A step could not be made now; the reconciler makes it.
pub(super) fn tell(payment: &Payment, error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(payment = %payment.id, order = %payment.order, error, "a payment waits to be settled");
}
