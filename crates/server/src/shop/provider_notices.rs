//! Webhooks of Stripe. They only wake the reconciler: the state of a payment is read from Stripe, and never from an event. An event is kept
//! before Stripe gets its reply, so that each leads to a question, also after a crash; events that come twice, late, in another order or
//! never lead to the same end.
//!
//! Disputes, refunds made in Stripe's dashboard and refunds that failed afterwards become findings, which an admin sees.

use super::payments::{PaymentService, WakeResult};
use crate::clock::TimeSource;
use crate::payments::stripe::amount::from_stripe_units;
use crate::payments::stripe::event::parse_event;
use crate::payments::stripe::objects::Refund;
use crate::payments::stripe::signature::{EndpointSecret, SignatureError, verify_signature};
use crate::payments::stripe::{STRIPE, StripeProvider, read_dispute};
use crate::payments::{NoProviderReply, PaymentProvider, ProviderHealth};
use crate::store::payment_findings::{FindingKind, FindingRow};
use crate::store::provider_notices::{self as rows, NoticeRow};
use crate::store::{Store, StoreError};
use crate::telemetry::stripe::StripeMetrics;
use engine::error_text::describe_error;
use futures::future::join_all;
use sale::{Currency, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// Events that are handled at a time.
const BATCH_LEN: u32 = 32;

/// Time between two passes over events that were kept and not handled: after a crash, or while Stripe did not answer.
const PASS_EVERY: Duration = Duration::from_secs(5);

/// The wait before the second try of an event that could not be handled, in milliseconds: less than the time between two passes. It doubles
/// with each try.
const RETRY_MS_MIN: i64 = 4_000;

/// The longest such wait.
const RETRY_MS_MAX: i64 = 60_000;

/// Time between two looks at the provider's health; the wait after a failed check doubles up to the longer one. A check is some four
/// requests, and Stripe's circuit lets through less while it is open.
const WATCH_EVERY: Duration = Duration::from_secs(5);
const WATCH_EVERY_MAX: Duration = Duration::from_secs(30);

/// How long events are kept, in milliseconds. Stripe sends one again for three days.
const KEEP_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// Passes between two deletions of old events: an hour.
const DELETE_EVERY: u32 = 720;

/// What became of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeResult {
    /// It is kept, or came before.
    Accepted,
    /// It concerns nothing of this shop.
    Ignored,
}

/// Why a webhook is not accepted. Stripe sends it again later, except after a refusal.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error("the body is no event of Stripe's")]
    Unreadable,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an event waits.
#[derive(Debug, thiserror::Error)]
enum HandleError {
    #[error("Stripe did not answer")]
    NoReply,
    #[error("another task works on the payment")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NoProviderReply> for HandleError {
    fn from(_: NoProviderReply) -> Self {
        Self::NoReply
    }
}

pub struct NoticeService {
    store: Store,
    now: TimeSource,
    wall_clock: TimeSource,
    secrets: Vec<EndpointSecret>,
    provider: Arc<StripeProvider>,
    payments: Arc<PaymentService>,
    metrics: StripeMetrics,
    received: Notify,
}

impl NoticeService {
    #[must_use]
    pub fn new(
        store: Store,
        (now, wall_clock): (TimeSource, TimeSource),
        secrets: Vec<EndpointSecret>,
        provider: Arc<StripeProvider>,
        payments: Arc<PaymentService>,
        metrics: StripeMetrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            now,
            wall_clock,
            secrets,
            provider,
            payments,
            metrics,
            received: Notify::new(),
        })
    }

    /// Tries the provider's key at the start, until there is an answer, and then whenever the provider cannot be used: so its health is known
    /// before a buyer pays, and its recovery without one. While all is well it asks nothing. It ends when `stop` becomes true.
    pub async fn watch_provider(&self, mut stop: watch::Receiver<bool>) {
        let watching = async {
            let mut is_checked = false;
            let mut wait = WATCH_EVERY;
            loop {
                let is_well = || self.provider.health() == ProviderHealth::Ok;
                if !is_checked || !is_well() {
                    is_checked = self.provider.check_key().await;
                }
                tokio::time::sleep(wait).await;
                let is_usable = is_checked && is_well();
                wait = if is_usable { WATCH_EVERY } else { wait.saturating_mul(2).min(WATCH_EVERY_MAX) };
            }
        };
        tokio::select! {
            () = watching => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Checks and keeps a webhook. It waits for the tables and not for Stripe.
    ///
    /// # Errors
    /// When it does not come from Stripe, or cannot be kept now.
    pub async fn receive(&self, signature: Option<&str>, body: &[u8]) -> Result<NoticeResult, NoticeError> {
        let received = self.keep(signature, body).await;
        self.metrics.count_notice(match &received {
            Ok(NoticeResult::Accepted) => "accepted",
            Ok(NoticeResult::Ignored) => "ignored",
            Err(NoticeError::Signature(_)) => "bad_signature",
            Err(NoticeError::Unreadable) => "unreadable",
            Err(NoticeError::Store(_)) => "unavailable",
        });
        received
    }

    /// Handles events until `stop` becomes true: those that come here, and those that were left.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut passes: u32 = 0;
        loop {
            let wait = match self.handle_open().await {
                Ok(handled) if handled >= BATCH_LEN => Duration::ZERO,
                Ok(_) => PASS_EVERY,
                Err(error) => {
                    log_store_failure(&error);
                    PASS_EVERY
                }
            };
            if passes.is_multiple_of(DELETE_EVERY) {
                // What fails is tried again with the next pass that does.
                let _ = rows::delete_old(&self.store, (self.now)().plus_ms(-KEEP_MS)).await;
            }
            passes = passes.wrapping_add(1);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.received.notified() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn keep(&self, signature: Option<&str>, body: &[u8]) -> Result<NoticeResult, NoticeError> {
        let signature = signature.ok_or(SignatureError::Malformed)?;
        // Stripe signs by the right time. The machine's clock may be wrong, and that of sales comes back slowly after it was: which of the two
        // is right is not known, so either may say that a signature is of now.
        let verify = |now| verify_signature(signature, body, &self.secrets, now);
        match verify((self.wall_clock)()) {
            Err(SignatureError::OutOfTime) => verify((self.now)()),
            verified => verified,
        }?;
        let event = parse_event(body).map_err(|_| NoticeError::Unreadable)?;
        if !event.may_be_ours() || event.is_live != self.provider.is_live() {
            return Ok(NoticeResult::Ignored);
        }
        let notice = NoticeRow {
            provider: STRIPE.to_owned(),
            event_id: event.id,
            kind: event.kind,
            payment: event.payment,
            intent: event.intent,
            received_at: (self.now)(),
            tries: 0,
        };
        if rows::insert(&self.store, &notice).await? {
            self.received.notify_one();
        }
        Ok(NoticeResult::Accepted)
    }

    /// Handles one batch of the events that are due, and returns how many. One that cannot be handled is tried again later.
    async fn handle_open(&self) -> Result<u32, StoreError> {
        let open = rows::list_open(&self.store, (self.now)(), BATCH_LEN).await?;
        let handled = join_all(open.iter().map(|notice| self.handle(notice))).await;
        for (notice, handled) in open.iter().zip(handled) {
            match handled {
                Ok(()) => continue,
                // Stripe's silence is logged by its circuit.
                Err(HandleError::NoReply | HandleError::Busy) => {}
                Err(HandleError::Store(error)) => log_store_failure(&error),
            }
            let wait_ms = (RETRY_MS_MIN << notice.tries.clamp(0, 16)).min(RETRY_MS_MAX);
            rows::postpone(&self.store, notice, (self.now)().plus_ms(wait_ms)).await?;
        }
        Ok(u32::try_from(open.len()).unwrap_or(u32::MAX))
    }

    async fn handle(&self, notice: &NoticeRow) -> Result<(), HandleError> {
        let payment = match (notice.payment, &notice.intent) {
            (Some(payment), _) => Some(payment),
            (None, Some(intent)) => self.provider.find_payment_of_intent(intent).await?,
            (None, None) => None,
        };
        let woken = match payment {
            Some(payment) => self.payments.wake_for_notice(payment).await?,
            None => WakeResult::Unknown,
        };
        if woken == WakeResult::Silent {
            return Err(HandleError::NoReply);
        }
        // A payment that the tables do not have is another shop's on the same account.
        if let (Some(payment), WakeResult::Handled) = (payment, woken)
            && let Some(intent) = &notice.intent
        {
            if notice.kind.starts_with("charge.dispute.") {
                self.record_disputes(payment, intent).await?;
            } else if notice.kind.starts_with("refund.") || notice.kind.starts_with("charge.refund") {
                self.record_refunds(payment, intent).await?;
            }
        }
        rows::settle(&self.store, notice, (self.now)()).await?;
        Ok(())
    }

    async fn record_disputes(&self, payment: Uuid, intent: &str) -> Result<(), HandleError> {
        for dispute in self.provider.list_disputes(intent).await? {
            if let Some(dispute) = read_dispute(dispute) {
                self.payments.record_dispute((payment, STRIPE), dispute).await?;
            }
        }
        Ok(())
    }

    async fn record_refunds(&self, payment: Uuid, intent: &str) -> Result<(), HandleError> {
        if !self.payments.refresh_refunds(payment).await? {
            return Err(HandleError::Busy);
        }
        for refund in self.provider.list_refunds(intent).await? {
            let Some(finding) = read_refund(payment, refund, (self.now)()) else { continue };
            if self.payments.record_finding(&finding).await? {
                tracing::warn!(
                    %payment, refund = finding.id, kind = finding.kind.as_str(), status = finding.status,
                    "a refund was made or failed at Stripe without the shop; the order is as before; cancel it, or pay the buyer in another way"
                );
            }
        }
        Ok(())
    }
}

fn log_store_failure(error: &StoreError) {
    tracing::error!(
        error = describe_error(error),
        "reading or writing Stripe's webhooks failed; they wait, and the next try is in 5 s; check the database"
    );
}

/// The finding of a refund; `None` for one that the shop asked for and that has not failed.
fn read_refund(payment: Uuid, refund: Refund, now: Timestamp) -> Option<FindingRow> {
    let kind = match (refund.is_ours(), refund.has_failed()) {
        (true, false) => return None,
        (true, true) => FindingKind::RefundFailed,
        (false, _) => FindingKind::RefundedOutside,
    };
    Some(FindingRow {
        provider: STRIPE.to_owned(),
        payment,
        kind,
        amount: from_stripe_units(refund.amount, parse_currency(&refund.currency)?).ok()?,
        id: refund.id,
        status: refund.status.unwrap_or_default(),
        reason: String::new(),
        due_at: None,
        updated_at: now,
    })
}

fn parse_currency(text: &str) -> Option<Currency> {
    text.to_ascii_uppercase().parse().ok()
}
