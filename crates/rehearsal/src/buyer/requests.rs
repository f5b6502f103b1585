//! Sends a request and retries it with the same key until a final reply, as a real client does.

use super::{SimulatedBuyer, replies};
use crate::client;
use crate::dialects;
use crate::metrics::RequestKind;
use crate::observations::{BuyerAction, Code, LoggedReply, ReplyBody, RequestLog, RequestSpan, RunInstant};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::Method;
use hyper::http::request;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::time::Duration;

/// The pause before the second try, and the longest before any.
const BACKOFF_S: (f64, f64) = (0.15, 3.0);
/// The `Retry-After` of a reply that settles nothing is followed up to this long: people who do not know the outcome wait no longer.
const RETRY_AFTER_MAX_S: f64 = 5.0;
/// A connection that is cut on purpose is cut within this time after the request.
const CUT_WITHIN_MS: u64 = 4;

/// The index of a [`RequestLog`] in its account's list.
#[derive(Clone, Copy)]
pub(super) struct RequestIndex(pub(super) usize);

/// The result of one try.
enum SendOutcome {
    Settled(LoggedReply),
    /// Retry, after this many seconds if the reply has them.
    Retry(Option<f64>),
    /// Again, because the buyer lost the reply by their own doing.
    ReplyLost,
    /// Retry, because the buyer exceeded the rate limit.
    RateLimited(Option<f64>),
}

/// The answer that settles something, and when the request that got it was due.
#[derive(Clone, Copy)]
pub(super) struct SettledReply {
    pub(super) reply: LoggedReply,
    due: RunInstant,
}

impl SimulatedBuyer {
    /// Adds a request that will be sent to the account's log.
    pub(super) fn log_request(&self, what: BuyerAction) -> RequestIndex {
        let now = self.context.clock.now();
        self.context.with_account(self.member.account, |account| {
            // The same key again is the same request again.
            let same = |request: &RequestLog| match (request.action, what) {
                (BuyerAction::Order { key, .. }, BuyerAction::Order { key: wanted, .. })
                | (BuyerAction::Purchase { key }, BuyerAction::Purchase { key: wanted }) => key == wanted,
                _ => false,
            };
            let place = account.requests.iter().position(same).unwrap_or_else(|| {
                account.requests.push(RequestLog::new(what, now));
                account.requests.len() - 1
            });
            RequestIndex(place)
        })
    }

    /// Sends until a reply settles the request; `None` when the buyer gives up or the rehearsal ends before.
    pub(super) async fn send_until_settled(
        &self,
        request: RequestIndex,
        due: RunInstant,
    ) -> Option<LoggedReply> {
        let answer = Box::pin(self.retry_until_settled(request, due)).await;
        self.record_settled(request, [answer])
    }

    /// The same twice at once: two clicks, or two tabs. What counts for the clock is the answer that comes first.
    pub(super) async fn send_both(
        &self,
        request: [RequestIndex; 2],
        due: RunInstant,
    ) -> [Option<LoggedReply>; 2] {
        let (one, other) = tokio::join!(
            Box::pin(self.retry_until_settled(request[0], due)),
            Box::pin(self.retry_until_settled(request[1], due))
        );
        self.record_settled(request[0], [one, other]);
        [one, other].map(|answer| answer.map(|answer| answer.reply))
    }

    /// Measures the first of these answers, and gives it.
    fn record_settled<const N: usize>(
        &self,
        request: RequestIndex,
        answers: [Option<SettledReply>; N],
    ) -> Option<LoggedReply> {
        let first = answers.into_iter().flatten().min_by_key(|answer| answer.reply.span.received)?;
        let what =
            self.context.with_account(self.member.account, |account| account.requests[request.0].action);
        self.context.metrics.record_latency(request_kind(what), first.due, first.reply.span.received);
        Some(first.reply)
    }

    async fn retry_until_settled(&self, request: RequestIndex, mut due: RunInstant) -> Option<SettledReply> {
        let what =
            self.context.with_account(self.member.account, |account| account.requests[request.0].action);
        let mut rng = SmallRng::seed_from_u64(self.member.seed ^ due.0);
        let mut pause_s = BACKOFF_S.0;
        let mut tries = 0;
        loop {
            let turn = self.context.acquire_connection().await?;
            // Boxed: a buyer who waits between two tries needs no memory for a request.
            let tried = Box::pin(self.send_once(request, what, tries, &mut rng, turn)).await;
            let retry_after_s = match tried {
                SendOutcome::Settled(reply) => return Some(SettledReply { reply, due }),
                SendOutcome::Retry(retry_after_s) | SendOutcome::RateLimited(retry_after_s) => {
                    retry_after_s.filter(|_| !self.member.habits.hammers)
                }
                SendOutcome::ReplyLost => None,
            };
            let wait_s = retry_after_s.unwrap_or(0.0).max(pause_s) * rng.random_range(0.7..1.3);
            let next = self.context.clock.now().plus(Duration::from_secs_f64(wait_s));
            if matches!(tried, SendOutcome::ReplyLost | SendOutcome::RateLimited(_)) {
                // The wait is the buyer's own doing; the shop is measured from the next request on.
                due = next;
            }
            if next > self.deadline {
                self.context.metrics.record_latency(request_kind(what), due, self.context.clock.now());
                return None;
            }
            if !self.context.wait_until(next).await {
                return None;
            }
            pause_s = (pause_s * 2.0).min(BACKOFF_S.1);
            tries += 1;
        }
    }

    async fn send_once(
        &self,
        request: RequestIndex,
        what: BuyerAction,
        tries: u32,
        rng: &mut SmallRng,
        turn: client::ConnectionPermit<'_>,
    ) -> SendOutcome {
        let sent = self.context.clock.now();
        self.context.metrics.record_request(sent, tries > 0);
        let sending = self.context.client.send(self.build_buyer_request(what), turn);
        let loses = tries == 0 && self.member.habits.loses_replies;
        let answer = if loses && rng.random() {
            // The connection is cut before the reply is there, or just after.
            let cut_after = Duration::from_millis(rng.random_range(0..CUT_WITHIN_MS));
            tokio::time::timeout(cut_after, sending).await.ok()
        } else {
            Some(sending.await)
        };
        let received = self.context.clock.now();
        let reply = match answer {
            Some(Ok(_)) if loses => {
                self.context.metrics.record_lost_reply();
                self.record_unanswered(request);
                return SendOutcome::ReplyLost;
            }
            Some(Ok(reply)) => reply,
            Some(Err(client::RequestError::Connect(_))) => {
                // Nothing was sent: the shop cannot have done anything.
                self.context.metrics.record_unanswered(received);
                return SendOutcome::Retry(None);
            }
            Some(Err(_)) => {
                self.context.metrics.record_unanswered(received);
                self.record_unanswered(request);
                return SendOutcome::Retry(None);
            }
            None => {
                self.context.metrics.record_lost_reply();
                self.record_unanswered(request);
                return SendOutcome::ReplyLost;
            }
        };
        self.record_reply(request, what, &reply, RequestSpan { sent, received })
    }

    fn record_reply(
        &self,
        request: RequestIndex,
        what: BuyerAction,
        reply: &client::InstanceReply,
        span: RequestSpan,
    ) -> SendOutcome {
        let body = match &self.context.dialect {
            Some(sale) => dialects::read_reply(sale.dialect, what, reply),
            None => replies::read_reply(what, reply),
        };
        let refused = match body {
            ReplyBody::Refused(code) => Some(code),
            // No yes either: it is counted among the refusals.
            ReplyBody::Malformed => Some(Code::Other),
            _ => None,
        };
        self.context.metrics.record_reply(span.received, refused);
        let retry_after_s = replies::read_retry_after_s(reply);
        let received = LoggedReply { span, status: reply.status.as_u16(), retry_after_s, body };
        self.context.with_account(self.member.account, |account| {
            account.requests[request.0].record_reply(received);
            if let ReplyBody::Place { ticket, position, .. } = body {
                account.record_place(ticket, position, span);
            }
            if let ReplyBody::Spot { position } = body {
                account.record_spot(position, span);
            }
        });
        let passes = refused.is_some_and(Code::is_transient) || body == ReplyBody::Malformed;
        let capped_s = retry_after_s.map(|seconds| f64::from(seconds).min(RETRY_AFTER_MAX_S));
        match refused {
            Some(Code::RateLimited) => SendOutcome::RateLimited(capped_s),
            _ if passes => SendOutcome::Retry(capped_s),
            _ => SendOutcome::Settled(received),
        }
    }

    fn record_unanswered(&self, request: RequestIndex) {
        self.context.with_account(self.member.account, |account| account.requests[request.0].unanswered += 1);
    }

    /// Sends one GET: it promises nothing and is not logged.
    pub(super) async fn get_once(&self, path: &str) -> Option<(client::InstanceReply, RequestSpan)> {
        self.send_once_unlogged(self.start_request(Method::GET, path)).await
    }

    /// The same without saying who asks, as for what caches serve.
    pub(super) async fn get_public_once(&self, path: &str) -> Option<(client::InstanceReply, RequestSpan)> {
        self.send_once_unlogged(self.context.client.target().request(Method::GET, path)).await
    }

    async fn send_once_unlogged(
        &self,
        start: request::Builder,
    ) -> Option<(client::InstanceReply, RequestSpan)> {
        let turn = self.context.acquire_connection().await?;
        let sent = self.context.clock.now();
        self.context.metrics.record_request(sent, false);
        let request = finish_request(start, Bytes::new());
        let answer = Box::pin(self.context.client.send(request, turn)).await;
        let received = self.context.clock.now();
        match answer {
            Ok(reply) => Some((reply, RequestSpan { sent, received })),
            Err(_) => {
                self.context.metrics.record_unanswered(received);
                None
            }
        }
    }

    fn build_buyer_request(&self, what: BuyerAction) -> Request<Full<Bytes>> {
        const KEY: HeaderName = HeaderName::from_static("idempotency-key");
        let Some(sale) = &self.context.dialect else { return self.build_request(what) };
        let call = sale.build_call(what, self.member.account);
        let start = match call.body {
            Some(_) => self.start_json_request(call.method, &call.path),
            None => self.start_request(call.method, &call.path),
        };
        let start = match &call.idempotency_key {
            Some(key) => with_header(start, KEY, HeaderValue::from_str(key)),
            None => start,
        };
        finish_request(start, call.body.map_or_else(Bytes::new, |body| body.to_string().into()))
    }

    fn build_request(&self, what: BuyerAction) -> Request<Full<Bytes>> {
        const KEY: HeaderName = HeaderName::from_static("idempotency-key");
        let key = |key: u64| HeaderValue::from_str(&format!("{key:016x}"));
        let sale = &self.context.sale;
        match what {
            BuyerAction::Join => finish_request(
                self.start_json_request(Method::POST, "/api/v1/queue/join"),
                sale.join_body.clone(),
            ),
            BuyerAction::Leave => {
                finish_request(self.start_request(Method::DELETE, &sale.leave_path), Bytes::new())
            }
            BuyerAction::Order { units, key: number } => {
                let body = format!(r#"{{"flashSaleId":"{}","quantity":{units}}}"#, sale.id);
                let start = self.start_json_request(Method::POST, "/api/v1/orders");
                finish_request(with_header(start, KEY, key(number)), body.into())
            }
            BuyerAction::Pay { order, key: number, declines } => {
                let method = if declines { "sandbox:decline" } else { "sandbox:approve" };
                let start = self.start_json_request(Method::POST, &format!("/api/v1/orders/{order}/pay"));
                finish_request(
                    with_header(start, KEY, key(number)),
                    format!(r#"{{"method":"{method}"}}"#).into(),
                )
            }
            BuyerAction::Cancel { order } => finish_request(
                self.start_request(Method::DELETE, &format!("/api/v1/orders/{order}")),
                Bytes::new(),
            ),
            // The native API has no such calls: its buyers read their orders.
            BuyerAction::Purchase { .. } | BuyerAction::ReadPurchase { .. } => {
                finish_request(self.start_request(Method::GET, "/api/v1/orders"), Bytes::new())
            }
        }
    }

    fn start_request(&self, method: Method, path: &str) -> request::Builder {
        const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");
        // A private network: each address of the crowd is one of its own.
        let [_, a, b, c] = self.member.address.to_be_bytes();
        let start = self.context.client.target().request(method, path);
        let is_guest = self.context.dialect.as_ref().is_some_and(|sale| !sale.dialect.has_accounts());
        let start = if is_guest {
            start
        } else {
            start.header(AUTHORIZATION, self.context.authorization(self.member.account))
        };
        with_header(start, FORWARDED, HeaderValue::from_str(&format!("10.{a}.{b}.{c}")))
    }

    fn start_json_request(&self, method: Method, path: &str) -> request::Builder {
        self.start_request(method, path).header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }
}

fn with_header<E>(
    start: request::Builder,
    name: HeaderName,
    value: Result<HeaderValue, E>,
) -> request::Builder {
    match value {
        Ok(value) => start.header(name, value),
        Err(_) => start,
    }
}

fn finish_request(start: request::Builder, body: Bytes) -> Request<Full<Bytes>> {
    start.body(Full::new(body)).expect("method, path and headers are made of checked parts")
}

fn request_kind(what: BuyerAction) -> RequestKind {
    match what {
        BuyerAction::Join => RequestKind::Join,
        BuyerAction::Order { .. } | BuyerAction::Purchase { .. } => RequestKind::Order,
        BuyerAction::ReadPurchase { .. } => RequestKind::Look,
        BuyerAction::Pay { .. } => RequestKind::Pay,
        BuyerAction::Leave | BuyerAction::Cancel { .. } => RequestKind::GiveBack,
    }
}
