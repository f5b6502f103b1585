//! Asking until there is an answer: a request, and its repetitions with the same key, as a real client does it.

use super::{Buyer, words};
use crate::client;
use crate::meter::Kind;
use crate::told::{Asked, Code, Moment, Reply, Said, Span, What};
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
const PAUSE_S: (f64, f64) = (0.15, 3.0);
/// A reply's `Retry-After` is heeded up to this long: people are not more patient.
const RETRY_AFTER_MAX_S: f64 = 5.0;
/// A connection that is cut on purpose is cut within this time after the request.
const CUT_WITHIN_MS: u64 = 4;

/// Where an [`Asked`] stands in its account's list.
#[derive(Clone, Copy)]
pub(super) struct AskedAt(pub(super) usize);

/// How a try went.
enum Try {
    Settled(Reply),
    /// Again, after this many seconds if the shop said so.
    Again(Option<f64>),
    /// Again, because the buyer lost the reply by their own doing.
    Lost,
    /// Again, because the buyer asked for more than the limit allows.
    Limited(Option<f64>),
}

/// The answer that settles something, and when the request that got it was due.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) reply: Reply,
    due: Moment,
}

impl Buyer {
    /// Opens the books for something that will be asked for.
    pub(super) fn begin(&self, what: What) -> AskedAt {
        let now = self.scene.watch.now();
        self.scene.with_account(self.person.account, |account| {
            // The same key again is the same request again.
            let same = |asked: &Asked| match (asked.what, what) {
                (What::Order { key, .. }, What::Order { key: wanted, .. }) => key == wanted,
                _ => false,
            };
            let place = account.asked.iter().position(same).unwrap_or_else(|| {
                account.asked.push(Asked::new(what, now));
                account.asked.len() - 1
            });
            AskedAt(place)
        })
    }

    /// Asks until an answer settles it; nothing when patience or the rehearsal ends before.
    pub(super) async fn ask(&self, asked: AskedAt, due: Moment) -> Option<Reply> {
        let answer = Box::pin(self.ask_on(asked, due)).await;
        self.settled(asked, [answer])
    }

    /// The same twice at once: two clicks, or two tabs. What counts for the clock is the answer that comes first.
    pub(super) async fn ask_both(&self, asked: [AskedAt; 2], due: Moment) -> [Option<Reply>; 2] {
        let (one, other) =
            tokio::join!(Box::pin(self.ask_on(asked[0], due)), Box::pin(self.ask_on(asked[1], due)));
        self.settled(asked[0], [one, other]);
        [one, other].map(|answer| answer.map(|answer| answer.reply))
    }

    /// Measures the first of these answers, and gives it.
    fn settled<const N: usize>(&self, asked: AskedAt, answers: [Option<Answer>; N]) -> Option<Reply> {
        let first = answers.into_iter().flatten().min_by_key(|answer| answer.reply.span.heard)?;
        let what = self.scene.with_account(self.person.account, |account| account.asked[asked.0].what);
        self.scene.meter.settled(kind(what), first.due, first.reply.span.heard);
        Some(first.reply)
    }

    async fn ask_on(&self, asked: AskedAt, mut due: Moment) -> Option<Answer> {
        let what = self.scene.with_account(self.person.account, |account| account.asked[asked.0].what);
        let mut rng = SmallRng::seed_from_u64(self.person.seed ^ due.0);
        let mut pause_s = PAUSE_S.0;
        let mut tries = 0;
        loop {
            let turn = self.scene.turn().await?;
            // Boxed: whoever waits between two tries keeps no room for a request.
            let tried = Box::pin(self.try_once(asked, what, tries, &mut rng, turn)).await;
            let told_s = match tried {
                Try::Settled(reply) => return Some(Answer { reply, due }),
                Try::Again(told_s) | Try::Limited(told_s) => told_s.filter(|_| !self.person.habits.hammers),
                Try::Lost => None,
            };
            let wait_s = told_s.unwrap_or(0.0).max(pause_s) * rng.random_range(0.7..1.3);
            let next = self.scene.watch.now().plus(Duration::from_secs_f64(wait_s));
            if matches!(tried, Try::Lost | Try::Limited(_)) {
                // The wait is the buyer's own doing; the shop is measured from the next request on.
                due = next;
            }
            if next > self.deadline {
                self.scene.meter.settled(kind(what), due, self.scene.watch.now());
                return None;
            }
            if !self.scene.until(next).await {
                return None;
            }
            pause_s = (pause_s * 2.0).min(PAUSE_S.1);
            tries += 1;
        }
    }

    async fn try_once(
        &self,
        asked: AskedAt,
        what: What,
        tries: u32,
        rng: &mut SmallRng,
        turn: client::Turn<'_>,
    ) -> Try {
        let sent = self.scene.watch.now();
        self.scene.meter.sent(sent, tries > 0);
        let sending = self.scene.client.send(self.request(what), turn);
        let loses = tries == 0 && self.person.habits.loses_replies;
        let answer = if loses && rng.random() {
            // The connection is cut before the reply is there, or just after.
            let patience = Duration::from_millis(rng.random_range(0..CUT_WITHIN_MS));
            tokio::time::timeout(patience, sending).await.ok()
        } else {
            Some(sending.await)
        };
        let heard = self.scene.watch.now();
        let reply = match answer {
            Some(Ok(_)) if loses => {
                self.scene.meter.lost();
                self.without_answer(asked);
                return Try::Lost;
            }
            Some(Ok(reply)) => reply,
            Some(Err(client::Unanswered::Connect(_))) => {
                // Nothing was sent: the shop cannot have done anything.
                self.scene.meter.unanswered(heard);
                return Try::Again(None);
            }
            Some(Err(_)) => {
                self.scene.meter.unanswered(heard);
                self.without_answer(asked);
                return Try::Again(None);
            }
            None => {
                self.scene.meter.lost();
                self.without_answer(asked);
                return Try::Lost;
            }
        };
        self.hear(asked, what, &reply, Span { sent, heard })
    }

    fn hear(&self, asked: AskedAt, what: What, reply: &client::Reply, span: Span) -> Try {
        let said = words::said(what, reply);
        let refused = match said {
            Said::Refused(code) => Some(code),
            // No yes either: it is counted among the refusals.
            Said::Nonsense => Some(Code::Other),
            _ => None,
        };
        self.scene.meter.answered(span.heard, refused);
        let heard = Reply { span, status: reply.status.as_u16(), said };
        self.scene.with_account(self.person.account, |account| {
            account.asked[asked.0].hear(heard);
            if let Said::Place { ticket, position } = said {
                account.hear_place(ticket, position, span);
            }
        });
        let passes = refused.is_some_and(Code::is_passing) || said == Said::Nonsense;
        let retry_after_s = words::retry_after_s(reply, RETRY_AFTER_MAX_S);
        match refused {
            Some(Code::RateLimited) => Try::Limited(retry_after_s),
            _ if passes => Try::Again(retry_after_s),
            _ => Try::Settled(heard),
        }
    }

    fn without_answer(&self, asked: AskedAt) {
        self.scene.with_account(self.person.account, |account| account.asked[asked.0].unanswered += 1);
    }

    /// Looks at something, once: a look promises nothing.
    pub(super) async fn get_once(&self, path: &str) -> Option<(client::Reply, Span)> {
        let turn = self.scene.turn().await?;
        let sent = self.scene.watch.now();
        self.scene.meter.sent(sent, false);
        let request = finish(self.start(Method::GET, path), Bytes::new());
        let answer = Box::pin(self.scene.client.send(request, turn)).await;
        let heard = self.scene.watch.now();
        match answer {
            Ok(reply) => Some((reply, Span { sent, heard })),
            Err(_) => {
                self.scene.meter.unanswered(heard);
                None
            }
        }
    }

    fn request(&self, what: What) -> Request<Full<Bytes>> {
        const KEY: HeaderName = HeaderName::from_static("idempotency-key");
        let key = |key: u64| HeaderValue::from_str(&format!("{key:016x}"));
        let sale = &self.scene.sale;
        match what {
            What::Join => finish(self.start_json(Method::POST, "/api/v1/queue/join"), sale.join_body.clone()),
            What::Leave => finish(self.start(Method::DELETE, &sale.leave_path), Bytes::new()),
            What::Order { units, key: number } => {
                let body = format!(r#"{{"flashSaleId":"{}","quantity":{units}}}"#, sale.id);
                let start = self.start_json(Method::POST, "/api/v1/orders");
                finish(with(start, KEY, key(number)), body.into())
            }
            What::Pay { order, key: number, declines } => {
                let method = if declines { "sandbox:decline" } else { "sandbox:approve" };
                let start = self.start_json(Method::POST, &format!("/api/v1/orders/{order}/pay"));
                finish(with(start, KEY, key(number)), format!(r#"{{"method":"{method}"}}"#).into())
            }
            What::Cancel { order } => {
                finish(self.start(Method::DELETE, &format!("/api/v1/orders/{order}")), Bytes::new())
            }
        }
    }

    fn start(&self, method: Method, path: &str) -> request::Builder {
        const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");
        // A network that is nobody's: each address of the crowd is one of its own.
        let [_, a, b, c] = self.person.address.to_be_bytes();
        let start = self.scene.client.target().request(method, path);
        let start = start.header(AUTHORIZATION, self.scene.token(self.person.account));
        with(start, FORWARDED, HeaderValue::from_str(&format!("10.{a}.{b}.{c}")))
    }

    fn start_json(&self, method: Method, path: &str) -> request::Builder {
        self.start(method, path).header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }
}

fn with<E>(start: request::Builder, name: HeaderName, value: Result<HeaderValue, E>) -> request::Builder {
    match value {
        Ok(value) => start.header(name, value),
        Err(_) => start,
    }
}

fn finish(start: request::Builder, body: Bytes) -> Request<Full<Bytes>> {
    start.body(Full::new(body)).expect("method, path and headers are made of checked parts")
}

fn kind(what: What) -> Kind {
    match what {
        What::Join => Kind::Join,
        What::Order { .. } => Kind::Order,
        What::Pay { .. } => Kind::Pay,
        What::Leave | What::Cancel { .. } => Kind::GiveBack,
    }
}
