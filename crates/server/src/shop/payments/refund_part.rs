//! Refunds of parts. Their orders stay confirmed and their units sold; only money goes back. The row of a refund is written, with its
//! amount reserved, before the provider is asked: two requests at once never promise more than is left, and after a crash the reconciler
//! asks with the same id.

use super::refund::{ChosenRefund, RefundPart};
use super::settle::{log_store_failure, log_unsettled};
use super::{PaidOrder, PaymentError, PaymentRefusal, PaymentResult, PaymentService};
use crate::shop::orders::PricedOrder;
use crate::store::StoreError;
use crate::store::payments::{
    self as rows, LeasedPayment, PartResult, PaymentKeyRow, PaymentRow, PaymentState, RefundRow, RefundState,
};
use futures::FutureExt;
use sale::{Money, OrderStatus};
use sha2::{Digest, Sha256};
use uuid::Uuid;

impl PaymentService {
    /// What a refund of this amount is: a part, or all that is left.
    pub(super) async fn choose_refund(
        &self,
        order: &PricedOrder,
        payment: Option<&PaymentRow>,
        amount: Money,
        key: Option<&PaymentKeyRow>,
    ) -> Result<ChosenRefund, PaymentError> {
        let id = key.map_or_else(Uuid::new_v4, refund_id);
        // A repeat is about the refund that it began, whatever has become of the order since.
        let known = rows::find_refund(self.tables.store(), id).await?;
        let Some(payment) = payment else {
            let is_unpaid = order.requires_payment && order.total().minor > 0;
            return Ok(ChosenRefund::Refused(match order.view.status {
                OrderStatus::Confirmed if is_unpaid => PaymentRefusal::PaymentMissing,
                OrderStatus::Confirmed => PaymentRefusal::RefundTooHigh { left_minor: 0 },
                status => PaymentRefusal::OrderState(status),
            }));
        };
        // Only one whose money is lost comes here: the order is refunded as a whole, or not.
        if payment.state == PaymentState::Authorised {
            return Ok(if amount == payment.amount {
                ChosenRefund::Whole
            } else {
                ChosenRefund::Refused(PaymentRefusal::RefundRefused)
            });
        }
        if matches!(payment.state, PaymentState::Started | PaymentState::Open | PaymentState::Voiding) {
            return Ok(ChosenRefund::Refused(PaymentRefusal::OrderState(order.view.status)));
        }
        if let Some(refund) = known {
            return Ok(ChosenRefund::Part(Box::new(RefundPart { payment: payment.clone(), refund })));
        }
        let left_minor = payment.left_minor();
        if amount.currency != payment.amount.currency || amount.minor > left_minor {
            return Ok(ChosenRefund::Refused(PaymentRefusal::RefundTooHigh { left_minor }));
        }
        if amount.minor == left_minor {
            return Ok(ChosenRefund::Whole);
        }
        Ok(ChosenRefund::Part(Box::new(RefundPart {
            payment: payment.clone(),
            refund: RefundRow {
                id,
                payment: payment.id,
                amount_minor: amount.minor,
                state: RefundState::Pending,
                created_at: self.engine.now(),
                tries: 0,
            },
        })))
    }

    /// Refunds a part. A repeat with the same key continues the refund that it began.
    pub(super) async fn refund_part(
        &self,
        order: PricedOrder,
        RefundPart { payment, refund }: RefundPart,
        key: Option<PaymentKeyRow>,
    ) -> PaymentResult {
        if let Some(key) = key
            && !self.claim_key(&PaymentKeyRow { payment: payment.id, ..key }).await?
        {
            return Ok(Err(PaymentRefusal::KeyReused));
        }
        let refund = match self.begin_part(refund).await? {
            PartResult::Begun(refund) | PartResult::Known(refund) => refund,
            PartResult::TooMuch => {
                let now = rows::find(self.tables.store(), payment.id).await?.unwrap_or(payment);
                return Ok(Err(PaymentRefusal::RefundTooHigh { left_minor: now.left_minor() }));
            }
        };
        let finished = match refund.state {
            RefundState::Pending => {
                // It has begun, so another instance that works on the payment, or the reconciler, finishes it.
                let lease = self.acquire_lease(payment.id, self.engine.now()).await;
                let Some(held) = lease.map_err(log_store_failure)? else {
                    return Err(PaymentError::Unsettled);
                };
                self.with_lease(&held, self.finish_part(&held, &refund)).await.map_err(log_store_failure)?
            }
            state => state,
        };
        match finished {
            RefundState::Done => {
                let payment = rows::find(self.tables.store(), payment.id).await.map_err(log_store_failure)?;
                Ok(Ok(PaidOrder { order, payment }))
            }
            RefundState::Refused => Ok(Err(PaymentRefusal::RefundRefused)),
            RefundState::Pending => Err(PaymentError::Unsettled),
        }
    }

    async fn begin_part(&self, refund: RefundRow) -> Result<PartResult, StoreError> {
        let try_at = self.next_try_at();
        self.tables
            .write(refund.payment, move |writing| {
                let refund = refund.clone();
                async move { rows::begin_part(writing, refund, try_at).await }.boxed()
            })
            .await
    }

    /// Asks the provider for the refund of a part, and writes what became of it.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub(super) async fn finish_part(
        &self,
        payment: &LeasedPayment,
        part: &RefundRow,
    ) -> Result<RefundState, StoreError> {
        // Another task may have ended it before this one had the lease.
        let part = match rows::find_refund(self.tables.store(), part.id).await? {
            Some(now) if now.state == RefundState::Pending => now,
            now => return Ok(now.map_or(RefundState::Refused, |now| now.state)),
        };
        if payment.state != PaymentState::Captured {
            return Ok(RefundState::Pending);
        }
        let state = match self.refund_at_provider(payment, part.id, part.amount_minor).await {
            Ok(answer) if !answer.is_refund_refused => RefundState::Done,
            Ok(answer) => {
                tracing::error!(
                    payment = %payment.id, order = %payment.order, refund = %part.id,
                    status = answer.status.as_str(),
                    "the provider refuses the refund of a part; nothing was paid back; look it up at the provider"
                );
                RefundState::Refused
            }
            Err(error) => {
                log_unsettled(payment, &error);
                return Ok(RefundState::Pending);
            }
        };
        let now = self.engine.now();
        self.tables
            .write(payment.id, move |writing| {
                let part = part.clone();
                async move { rows::finish_part(writing, &part, state, now).await }.boxed()
            })
            .await?;
        if state == RefundState::Refused {
            // Somebody may have refunded a part there, so that less is left. The admin who asks again sees how much.
            self.take_over_refunds(payment).await?;
        }
        Ok(state)
    }
}

/// The id of the refund that a request with this key begins: the same for each repeat.
fn refund_id(key: &PaymentKeyRow) -> Uuid {
    let digest = Sha256::new()
        .chain_update("refund")
        .chain_update(key.owner.to_string())
        .chain_update(&key.digest)
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
