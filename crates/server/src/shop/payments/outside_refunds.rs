//! Refunds that somebody made at the provider, in its dashboard. They are taken over into the payment's own refunds, so that less is left to be
//! refunded here, and other systems hear of them. Refunds that fail afterwards leave more to be refunded again. The order stays as it is:
//! whether its buyer keeps the unit is for a person to say.

use super::PaymentService;
use super::reconcile::PassResult;
use super::settle::log_unsettled;
use super::wake::{BUSY_TRIES, BUSY_WAIT};
use crate::store::StoreError;
use crate::store::payments::{self as rows, LeasedPayment, OutsideRefundRow, PaymentState};
use futures::FutureExt;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use uuid::Uuid;

impl PaymentService {
    /// Takes over what was refunded at the provider since, or has failed there. `false` when it has to be asked for again: another task works
    /// on the payment, or the provider does not answer.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn refresh_refunds(self: &Arc<Self>, payment: Uuid) -> Result<bool, StoreError> {
        for _ in 0..BUSY_TRIES {
            match self.refresh_refunds_once(payment).await? {
                PassResult::Settled => return Ok(true),
                PassResult::Waiting | PassResult::Silent => return Ok(false),
                PassResult::Busy => tokio::time::sleep(BUSY_WAIT).await,
            }
        }
        Ok(false)
    }

    async fn refresh_refunds_once(self: &Arc<Self>, payment: Uuid) -> Result<PassResult, StoreError> {
        let Some(row) = rows::find(self.tables.store(), payment).await? else {
            return Ok(PassResult::Settled);
        };
        // Before that there is nothing to refund, and after it nothing is left.
        if !matches!(row.state, PaymentState::Captured | PaymentState::Refunding) {
            return Ok(PassResult::Settled);
        }
        let Ok(Some(permit)) = self.in_flight.begin(row.buyer, row.order) else {
            return Ok(PassResult::Busy);
        };
        let Some(held) = self.acquire_lease(payment, self.engine.now()).await? else {
            return Ok(PassResult::Busy);
        };
        let is_complete = self.with_lease(&held, self.take_over_refunds(&held)).await?;
        drop(permit);
        Ok(if is_complete { PassResult::Settled } else { PassResult::Waiting })
    }

    /// The same for a payment that this task has leased.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub(super) async fn take_over_refunds(&self, payment: &LeasedPayment) -> Result<bool, StoreError> {
        let outside = match self.list_outside_refunds(payment).await {
            Ok(outside) => outside,
            Err(error) => {
                log_unsettled(payment, &error);
                return Ok(false);
            }
        };
        let mut is_complete = true;
        for refund in outside {
            let row = OutsideRefundRow {
                id: refund.refund.map_or_else(|| refund_id(payment.id, &refund.id), |ours| ours.0),
                payment: payment.id,
                amount_minor: refund.amount_minor,
                outside_id: refund.id,
            };
            let (has_failed, now) = (refund.has_failed, self.engine.now());
            is_complete &= self
                .tables
                .write(payment.id, move |writing| {
                    let row = row.clone();
                    async move {
                        if has_failed {
                            rows::clear_outside(writing, &row, now).await.map(|()| true)
                        } else {
                            rows::take_over_outside(writing, &row, now).await
                        }
                    }
                    .boxed()
                })
                .await?;
        }
        Ok(is_complete)
    }
}

/// The id of the row of a refund at the provider: the same each time.
fn refund_id(payment: Uuid, outside_id: &str) -> Uuid {
    let digest = Sha256::new()
        .chain_update("outside refund")
        .chain_update(payment)
        .chain_update(outside_id)
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
