//! The sender: sends deliveries that are due, and records what came of them. Of the processes that share the tables, the one with the
//! sender's advisory lock sends. A process that is killed, or loses the lock unknowingly, leads to a repeat and never to a loss: a delivery
//! stays pending until a result is recorded, and a result counts only for the version of the row that was sent.
//!
//! A slow endpoint delays no other: each has places of its own, and the last places of all are kept for endpoints that have none in flight.

mod pace;

use super::kept_since;
use super::{ENDPOINTS_MAX, EndpointRow};
use crate::clock::TimeSource;
use crate::store::webhook_deliveries::{self as deliveries, DeliveryState, DueDelivery, TryResult};
use crate::store::webhook_endpoints::{self as rows, DisabledReason, EndpointSecrets};
use crate::store::{Store, StoreError, StoreTransaction, buyer_identities};
use crate::telemetry::webhooks::{TryOutcome, WebhookMetrics};
use crate::webhooks::client::{ReceiverReply, SendFailure, SignedMessage, WebhookClient};
use crate::webhooks::schedule::{self, StatusMeaning};
use crate::webhooks::secret::{WebhookSecret, sign_with_all};
use bytes::Bytes;
use engine::clock::start_stopwatch;
use engine::error_text::describe_error;
use pace::EndpointPace;
use sale::{BuyerId, Timestamp};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};
use uuid::Uuid;

/// The name of the sender's advisory lock.
const LOCK_NAME: &str = "webhook_sender";
/// Deliveries in flight, of all endpoints.
const IN_FLIGHT_MAX: usize = 256;
/// When so many are in flight, only an endpoint without any gets a place: one for each endpoint is left.
const SHARED_PLACES: usize = IN_FLIGHT_MAX - ENDPOINTS_MAX;
/// How often the sender looks for what is due when nothing wakes it. Other processes write deliveries too.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The same without any endpoint.
const IDLE_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often the process that sends makes sure that it still has the lock.
const LOCK_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long it waits for the lock, or after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How often old rows are deleted, idle connections closed, and pending deliveries counted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// Rows that one statement of a sweep deletes, and statements of a sweep.
const SWEPT_AT_ONCE: u32 = 500;
const SWEEP_STATEMENTS: usize = 20;
/// Pending deliveries that are counted for the metric.
const COUNTED_MAX: u32 = 100_000;
/// How long a stop waits for replies. What has none is sent again by the next sender.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// What the sender works with.
pub struct SenderDependencies {
    pub store: Store,
    pub client: Arc<WebhookClient>,
    pub now: TimeSource,
    /// The machine's clock: receivers compare the time of a signature with their own.
    pub wall_clock: TimeSource,
    /// Wakes it when there may be something to send.
    pub wake: Arc<Notify>,
    pub metrics: WebhookMetrics,
    /// Gives numbers from 0 up to, not including, 1.
    pub random: Box<dyn FnMut() -> f64 + Send>,
}

/// Sends until it is stopped.
pub async fn run_sender(dependencies: SenderDependencies, mut stop: watch::Receiver<bool>) {
    let mut sender = WebhookSender::new(dependencies);
    loop {
        match sender.run_session(&mut stop).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(
                error = describe_error(&error),
                "webhooks are not sent, because the tables cannot be read or written; it is tried again in a second; check the \
                 database; nothing is lost"
            ),
        }
        if !wait(RETRY_INTERVAL, &mut stop).await {
            return;
        }
    }
}

/// True after the time, false when the instance stops.
async fn wait(time: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => true,
        _ = stop.wait_for(|stop| *stop) => false,
    }
}

struct WebhookSender {
    dependencies: SenderDependencies,
    paces: HashMap<Uuid, EndpointPace>,
    /// Endpoints that have failed or are paused, by what was read or recorded last.
    troubled: HashSet<Uuid>,
    /// Deliveries that wait for a reply, or for its record.
    in_flight: HashSet<Uuid>,
    finished: mpsc::UnboundedReceiver<FinishedTry>,
    /// At most [`IN_FLIGHT_MAX`] are on their way.
    finish: mpsc::UnboundedSender<FinishedTry>,
    unrecorded: Vec<FinishedTry>,
    /// Which endpoint is first in a round.
    round: usize,
    has_endpoints: bool,
}

/// A try that has ended.
struct FinishedTry {
    endpoint: Uuid,
    delivery: Uuid,
    version: i64,
    step: i64,
    /// Until when the endpoint was paused as the delivery was sent.
    pause_when_sent: Option<Timestamp>,
    outcome: Result<ReceiverReply, SendFailure>,
}

impl WebhookSender {
    fn new(dependencies: SenderDependencies) -> Self {
        let (finish, finished) = mpsc::unbounded_channel();
        Self {
            dependencies,
            paces: HashMap::new(),
            troubled: HashSet::new(),
            in_flight: HashSet::new(),
            finished,
            finish,
            unrecorded: Vec::new(),
            round: 0,
            has_endpoints: false,
        }
    }

    /// Takes the lock and sends, on one connection, with which the lock ends. Returns when the instance stops.
    async fn run_session(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), StoreError> {
        let tables = self.dependencies.store.open_follower().await?;
        let result = self.run_on(&tables, stop).await;
        tables.close().await;
        result
    }

    async fn run_on(&mut self, tables: &Store, stop: &mut watch::Receiver<bool>) -> Result<(), StoreError> {
        let mut locked_at: Option<Instant> = None;
        let mut swept_at: Option<Instant> = None;
        loop {
            // The pool replaces a connection that was cut, and the lock has ended with the old one: then another process may send.
            if locked_at.is_none_or(|at| at.elapsed() >= LOCK_CHECK_INTERVAL) {
                while !tables.try_lock_follower(LOCK_NAME).await? {
                    self.record_results(tables).await?;
                    if !wait(RETRY_INTERVAL, stop).await {
                        return self.finish_in_flight(tables).await;
                    }
                }
                locked_at = Some(start_stopwatch());
            }
            self.record_results(tables).await?;
            self.send_due(tables).await?;
            if swept_at.is_none_or(|at| at.elapsed() >= SWEEP_INTERVAL) {
                self.sweep(tables).await?;
                swept_at = Some(start_stopwatch());
            }
            let poll = if self.has_endpoints { POLL_INTERVAL } else { IDLE_POLL_INTERVAL };
            let wake = Arc::clone(&self.dependencies.wake);
            let is_stopping = tokio::select! {
                Some(finished) = self.finished.recv() => {
                    self.unrecorded.push(finished);
                    false
                }
                () = wake.notified() => false,
                () = tokio::time::sleep(poll) => false,
                _ = stop.wait_for(|stop| *stop) => true,
            };
            if is_stopping {
                return self.finish_in_flight(tables).await;
            }
        }
    }

    /// Records the replies that come within a moment.
    async fn finish_in_flight(&mut self, tables: &Store) -> Result<(), StoreError> {
        let collect = async {
            while self.unrecorded.len() < self.in_flight.len() {
                let Some(finished) = self.finished.recv().await else { return };
                self.unrecorded.push(finished);
            }
        };
        let _ = tokio::time::timeout(STOP_WAIT, collect).await;
        self.record_results(tables).await
    }

    /// Records all tries that have ended, in one transaction.
    async fn record_results(&mut self, tables: &Store) -> Result<(), StoreError> {
        while let Ok(finished) = self.finished.try_recv() {
            self.unrecorded.push(finished);
        }
        if self.unrecorded.is_empty() {
            return Ok(());
        }
        let now = (self.dependencies.now)();
        let mut judged = Vec::with_capacity(self.unrecorded.len());
        for finished in &self.unrecorded {
            let pace = self.paces.entry(finished.endpoint).or_default();
            judged.push(judge_try(finished, pace, now, (self.dependencies.random)()));
        }
        let mut writing = tables.begin().await?;
        let mut disabled = Vec::new();
        for (finished, judged) in self.unrecorded.iter().zip(&judged) {
            deliveries::record_try(&mut writing, &judged.result).await?;
            let is_troubled = self.troubled.contains(&finished.endpoint);
            if judged.outcome == TryOutcome::Delivered {
                if is_troubled {
                    let pause_when_sent = finished.pause_when_sent;
                    rows::record_success(&mut writing, finished.endpoint, pause_when_sent).await?;
                    self.troubled.remove(&finished.endpoint);
                }
                continue;
            }
            self.troubled.insert(finished.endpoint);
            if let Some(reason) = record_failure(&mut writing, finished.endpoint, judged, now).await? {
                disabled.push((finished.endpoint, reason));
            }
        }
        writing.commit().await?;
        for (finished, judged) in self.unrecorded.drain(..).zip(judged) {
            self.in_flight.remove(&finished.delivery);
            self.paces.entry(finished.endpoint).or_default().finish_try(&judged.effect, now);
            self.dependencies.metrics.count_try(judged.outcome);
        }
        self.dependencies.metrics.set_in_flight(self.in_flight.len());
        for (endpoint, reason) in disabled {
            self.dependencies.metrics.count_disabled();
            log_disabled(endpoint, reason);
        }
        Ok(())
    }

    /// Sends what is due, as far as there are places.
    async fn send_due(&mut self, tables: &Store) -> Result<(), StoreError> {
        let mut endpoints = rows::list_with_secrets(tables).await?;
        self.has_endpoints = !endpoints.is_empty();
        let known: HashSet<Uuid> = endpoints.iter().map(|(endpoint, _)| endpoint.id).collect();
        self.paces.retain(|id, pace| known.contains(id) || pace.in_flight() > 0);
        if self.has_endpoints {
            self.round = (self.round + 1) % endpoints.len();
            endpoints.rotate_left(self.round);
        }
        let now = (self.dependencies.now)();
        for (endpoint, secrets) in &endpoints {
            if endpoint.failing_since.is_some() || endpoint.paused_until.is_some() {
                self.troubled.insert(endpoint.id);
            }
            let due = self.find_due(tables, endpoint, now).await?;
            if due.is_empty() {
                continue;
            }
            let emails = find_emails(tables, endpoint, &due).await?;
            for delivery in due {
                let email = delivery.buyer.and_then(|buyer| emails.get(&buyer));
                self.start_try(endpoint, secrets, delivery, email.map(String::as_str), now);
            }
        }
        self.dependencies.metrics.set_in_flight(self.in_flight.len());
        Ok(())
    }

    /// What is due of an endpoint and has a place.
    async fn find_due(
        &mut self,
        tables: &Store,
        endpoint: &EndpointRow,
        now: Timestamp,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let pace = self.paces.entry(endpoint.id).or_default();
        let shared = SHARED_PLACES.saturating_sub(self.in_flight.len());
        let own = usize::from(pace.in_flight() == 0 && self.in_flight.len() < IN_FLIGHT_MAX);
        let places = pace.places().min(shared.max(own));
        if places == 0 {
            return Ok(Vec::new());
        }
        // Those in flight are due still: they are read with the others and left out.
        let limit = places + pace.in_flight();
        let mut due = deliveries::list_urgent(tables, endpoint.id, limit).await?;
        if endpoint.paused_until.is_none_or(|until| until <= now) {
            due.extend(deliveries::list_due(tables, endpoint.id, now, limit).await?);
        }
        let mut seen = HashSet::new();
        due.retain(|delivery| !self.in_flight.contains(&delivery.id) && seen.insert(delivery.id));
        due.truncate(places);
        Ok(due)
    }

    fn start_try(
        &mut self,
        endpoint: &EndpointRow,
        secrets: &EndpointSecrets,
        due: DueDelivery,
        email: Option<&str>,
        now: Timestamp,
    ) {
        let body = match email {
            Some(email) => add_email(&due.body, email),
            None => due.body,
        };
        let (id, timestamp_s) = (due.event, (self.dependencies.wall_clock)().0.div_euclid(1_000));
        let signature = sign_with_all(&valid_secrets(secrets, now), &id, timestamp_s, body.as_bytes());
        let message = SignedMessage { id, timestamp_s, signature, body: Bytes::from(body) };
        self.in_flight.insert(due.id);
        self.paces.entry(endpoint.id).or_default().begin_try();
        let (client, finish) = (Arc::clone(&self.dependencies.client), self.finish.clone());
        let (pause_when_sent, url) = (endpoint.paused_until, endpoint.url.clone());
        let endpoint = endpoint.id;
        let (delivery, version, step) = (due.id, due.version, due.step);
        tokio::spawn(async move {
            let outcome = client.send(&url, &message).await;
            // Without the sender, which has stopped, the next one sends it again.
            let _ = finish.send(FinishedTry { endpoint, delivery, version, step, pause_when_sent, outcome });
        });
    }

    /// Deletes what is old, in pieces.
    async fn sweep(&mut self, tables: &Store) -> Result<(), StoreError> {
        self.dependencies.client.sweep_idle();
        let before = kept_since((self.dependencies.now)());
        for _ in 0..SWEEP_STATEMENTS {
            if deliveries::delete_old(tables, before, SWEPT_AT_ONCE).await? == 0 {
                break;
            }
        }
        for endpoint in rows::list_deleted(tables).await? {
            let mut is_empty = false;
            for _ in 0..SWEEP_STATEMENTS {
                is_empty = deliveries::delete_of_endpoint(tables, endpoint, SWEPT_AT_ONCE).await? == 0;
                if is_empty {
                    break;
                }
            }
            if is_empty {
                rows::delete(tables, endpoint).await?;
            }
        }
        self.dependencies.metrics.set_pending(deliveries::count_pending(tables, COUNTED_MAX).await?);
        Ok(())
    }
}

/// What a try means: for its row, its endpoint, and the metrics.
struct JudgedTry {
    result: TryResult,
    outcome: TryOutcome,
    effect: TryEffect,
}

/// What a try means for its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TryEffect {
    meaning: StatusMeaning,
    /// The receiver was too slow.
    is_timeout: bool,
    paused_until: Option<Timestamp>,
}

fn judge_try(finished: &FinishedTry, pace: &EndpointPace, now: Timestamp, chance: f64) -> JudgedTry {
    let reply = finished.outcome.as_ref().ok();
    let retry_after = reply.and_then(|reply| reply.retry_after.as_deref());
    let retry_after = retry_after.and_then(|text| schedule::parse_retry_after(text, now));
    let meaning = reply.map_or(StatusMeaning::Failed, |reply| StatusMeaning::of(reply.status));
    let step = usize::try_from(finished.step).unwrap_or(usize::MAX);
    let is_delivered = meaning == StatusMeaning::Delivered;
    let next_try_at = if is_delivered { None } else { schedule::next_try(step, now, retry_after, chance) };
    let (state, outcome) = match (is_delivered, next_try_at) {
        (true, _) => (DeliveryState::Delivered, TryOutcome::Delivered),
        (false, Some(_)) => (DeliveryState::Pending, TryOutcome::Retried),
        (false, None) => (DeliveryState::Failed, TryOutcome::GaveUp),
    };
    let paused_until = (meaning == StatusMeaning::Overloaded)
        .then(|| schedule::pause_until(pace.overloads(), now, retry_after));
    let result = TryResult {
        delivery: finished.delivery,
        version: finished.version,
        state,
        step: finished.step.saturating_add(i64::from(!is_delivered)),
        next_try_at,
        tried_at: now,
        status: reply.map(|reply| reply.status),
        error: finished.outcome.as_ref().err().map(ToString::to_string),
        reply: reply.filter(|_| !is_delivered).map(|reply| reply.excerpt.clone()),
    };
    let is_timeout = matches!(finished.outcome, Err(SendFailure::Timeout));
    JudgedTry { result, outcome, effect: TryEffect { meaning, is_timeout, paused_until } }
}

/// Records that a try of an endpoint failed, and disables the endpoint when that is due.
async fn record_failure(
    writing: &mut StoreTransaction,
    endpoint: Uuid,
    judged: &JudgedTry,
    now: Timestamp,
) -> Result<Option<DisabledReason>, StoreError> {
    let gave_up_at = (judged.outcome == TryOutcome::GaveUp).then_some(now);
    let paused_until = judged.effect.paused_until;
    let since = rows::record_failure(writing, endpoint, now, gave_up_at, paused_until).await?;
    let reason = if judged.effect.meaning == StatusMeaning::Gone {
        DisabledReason::Gone
    } else if since.is_some_and(|since| schedule::is_given_up(since, now)) {
        DisabledReason::Failing
    } else {
        return Ok(None);
    };
    Ok(rows::disable(writing, endpoint, reason, now).await?.then_some(reason))
}

fn log_disabled(endpoint: Uuid, reason: DisabledReason) {
    let reason = reason.as_str();
    tracing::warn!(
        %endpoint,
        reason,
        "a webhook endpoint was disabled: its receiver replied 410 (gone) or has only failed for five days (failing); ask the receiver's operator, \
         then enable it again on the page Webhooks"
    );
}

/// The secrets that are valid now, the newest first.
fn valid_secrets(secrets: &EndpointSecrets, now: Timestamp) -> Vec<WebhookSecret> {
    let previous = secrets.previous.as_ref().filter(|(_, until)| now < *until);
    let previous = previous.map(|(secret, _)| secret.clone());
    std::iter::once(secrets.current.clone()).chain(previous).collect()
}

/// The addresses of the buyers of these deliveries, when the endpoint may get them.
async fn find_emails(
    tables: &Store,
    endpoint: &EndpointRow,
    due: &[DueDelivery],
) -> Result<HashMap<BuyerId, String>, StoreError> {
    let buyers: HashSet<BuyerId> = due.iter().filter_map(|delivery| delivery.buyer).collect();
    if !endpoint.include_email || buyers.is_empty() {
        return Ok(HashMap::new());
    }
    let buyers: Vec<BuyerId> = buyers.into_iter().collect();
    let people = buyer_identities::find_identities(tables, &buyers).await?;
    let emails = people.into_iter().map(|(buyer, person)| (buyer, person.email));
    // A guest of another design may be known by a text that is no address.
    Ok(emails.filter(|(_, email)| email.contains('@')).collect())
}

/// The event document with the buyer's address in its data.
fn add_email(body: &str, email: &str) -> String {
    let Ok(mut document) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    if let Some(data) = document.get_mut("data").and_then(Value::as_object_mut) {
        data.insert("buyerEmail".to_owned(), Value::from(email));
    }
    document.to_string()
}

#[cfg(test)]
mod tests;
