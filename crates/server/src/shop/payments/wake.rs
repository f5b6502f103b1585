//! Notices about payments from outside: a webhook of the provider, or a buyer who comes back from its page. A notice only makes the
//! shop ask the provider; what it says is never believed.

use super::PaymentService;
use super::reconcile::PassResult;
use crate::store::StoreError;
use crate::store::payments::{self as rows, PaymentState};
use engine::error_text::describe_error;
use sale::{OrderId, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Tries while another task works on the payment, which may have asked the provider before the notice came.
pub(super) const BUSY_TRIES: u32 = 40;

/// Time between two of them. All together they are 2 s, the time between two passes of the reconciler.
pub(super) const BUSY_WAIT: Duration = Duration::from_millis(50);

/// Time between two questions about a payment because its buyer looks at the order, in milliseconds.
const VIEW_EVERY_MS: i64 = 2_000;

/// Orders whose last question is remembered, at most. While there are more, further ones wait for a notice or the reconciler.
const VIEWED_MAX: usize = 16_384;

/// The orders that their buyers looked at within the last [`VIEW_EVERY_MS`].
#[derive(Debug, Default)]
pub(super) struct ViewedOrders(Mutex<HashMap<OrderId, Timestamp>>);

impl ViewedOrders {
    /// Whether the provider is to be asked now about this order's payment.
    fn begin(&self, order: OrderId, now: Timestamp) -> bool {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Timestamp| now.ms_since(*at).abs() < VIEW_EVERY_MS;
        if asked.get(&order).is_some_and(is_recent) {
            return false;
        }
        if asked.len() >= VIEWED_MAX {
            asked.retain(|_, at| is_recent(at));
        }
        let has_place = asked.len() < VIEWED_MAX;
        if has_place {
            asked.insert(order, now);
        }
        has_place
    }
}

/// What a notice about a payment has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeResult {
    /// The shop has no such payment.
    Unknown,
    /// The payment is settled, or the provider has answered; or the reconciler asks at once, because another task works on the payment.
    Handled,
    /// The provider, the engine or the tables did not answer.
    Silent,
}

impl PaymentService {
    /// Asks the provider about a payment now, unless it is settled, and returns its order; `None` when there is no such payment. The work
    /// goes on when the caller goes away.
    ///
    /// # Errors
    /// When the tables do not answer; the reconciler asks later.
    pub async fn wake(self: &Arc<Self>, payment: Uuid) -> Result<Option<OrderId>, StoreError> {
        let Some(row) = rows::find(self.tables.store(), payment).await? else { return Ok(None) };
        if !row.state.is_settled() {
            let payments = Arc::clone(self);
            let work = tokio::spawn(async move { payments.ask_until_free(payment).await });
            let _ended = work.await;
        }
        Ok(Some(row.order))
    }

    /// As [`Self::wake`] for a notice that is kept until the provider has answered.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn wake_for_notice(self: &Arc<Self>, payment: Uuid) -> Result<WakeResult, StoreError> {
        match rows::find(self.tables.store(), payment).await? {
            Some(row) if !row.state.is_settled() => Ok(self.ask_until_free(payment).await),
            Some(_) => Ok(WakeResult::Handled),
            None => Ok(WakeResult::Unknown),
        }
    }

    /// The order of a payment.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn find_payment_order(&self, payment: Uuid) -> Result<Option<OrderId>, StoreError> {
        Ok(rows::find(self.tables.store(), payment).await?.map(|row| row.order))
    }

    /// As [`Self::wake`] for the payment of an order that its buyer has given up: an open page is closed. Nothing waits for it.
    pub fn wake_order(self: &Arc<Self>, order: OrderId) {
        let payments = Arc::clone(self);
        tokio::spawn(async move {
            match rows::find_live(payments.tables.store(), order).await {
                Ok(Some(live)) if !live.state.is_settled() => {
                    payments.ask_until_free(live.id).await;
                }
                Ok(_) => {}
                Err(error) => log_not_asked(&error),
            }
        });
    }

    /// As [`Self::wake`] for an order that its buyer looks at, who may have paid on the page and closed it: if its page is open, the provider is
    /// asked, once in [`VIEW_EVERY_MS`] at most. Nothing waits for it. `false` when it was asked a moment ago.
    pub fn wake_viewed_order(self: &Arc<Self>, order: OrderId) -> bool {
        if !self.viewed.begin(order, self.engine.now()) {
            return false;
        }
        let payments = Arc::clone(self);
        tokio::spawn(async move {
            match rows::find_live(payments.tables.store(), order).await {
                Ok(Some(live)) if live.state == PaymentState::Open => {
                    payments.ask_until_free(live.id).await;
                }
                Ok(_) => {}
                Err(error) => log_not_asked(&error),
            }
        });
        true
    }

    async fn ask_until_free(self: &Arc<Self>, payment: Uuid) -> WakeResult {
        for _ in 0..BUSY_TRIES {
            match self.ask_once(payment).await {
                Ok(PassResult::Busy) => tokio::time::sleep(BUSY_WAIT).await,
                Ok(PassResult::Settled | PassResult::Waiting) => return WakeResult::Handled,
                Ok(PassResult::Silent) => return WakeResult::Silent,
                Err(error) => {
                    log_not_asked(&error);
                    return WakeResult::Silent;
                }
            }
        }
        match rows::hasten(self.tables.store(), payment, self.engine.now()).await {
            Ok(()) => WakeResult::Handled,
            Err(error) => {
                log_not_asked(&error);
                WakeResult::Silent
            }
        }
    }

    async fn ask_once(self: &Arc<Self>, payment: Uuid) -> Result<PassResult, StoreError> {
        match rows::find(self.tables.store(), payment).await? {
            Some(row) if !row.state.is_settled() => self.reconcile_payment(&row, self.engine.now()).await,
            _ => Ok(PassResult::Settled),
        }
    }
}

fn log_not_asked(error: &StoreError) {
    tracing::warn!(
        error = describe_error(error),
        "reading a payment after a notice failed; the reconciler asks the provider later"
    );
}
