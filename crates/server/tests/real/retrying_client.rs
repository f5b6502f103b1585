//! A client that tries one instance after the other until it gets a reply, and counts what it met. It never gives a request another
//! key.

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How often a request is sent before its buyer gives up: a minute and more.
const TRIES: usize = 600;
/// How long a buyer waits before asking again.
const PAUSE: Duration = Duration::from_millis(100);

/// The replies and failures of all clients.
#[derive(Default, Clone)]
pub struct RequestTally {
    /// Requests that got a final reply.
    pub answered: u64,
    /// "Not now": 503 with `Retry-After`.
    pub refused_for_now: u64,
    /// Connections that were refused or broke.
    pub disconnected: u64,
    /// No reply within the client's timeout.
    pub timed_out: u64,
    /// The last of these, and when it was sent.
    pub last_timeout: String,
    /// The longest wait for such a reply or one that is wrong, and what it was.
    pub slowest: Duration,
    pub slowest_reply: String,
    /// A 5xx without `Retry-After`, which must never occur.
    pub unexpected: Vec<String>,
}

/// A client of several instances.
#[derive(Clone)]
pub struct RetryingClient {
    /// The instances' addresses; each retry goes to the next one.
    pub urls: Arc<[String]>,
    pub client: Client,
    /// Requests under way at once.
    pub permits: Arc<Semaphore>,
    pub stats: Arc<Mutex<RequestTally>>,
    /// The client's number. It chooses the first instance, and the address that the client connects from.
    pub number: usize,
    pub token: String,
}

impl RetryingClient {
    /// Sends until there is a final reply: without a connection, and after a 5xx, it tries again.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let method: Method = method.parse().unwrap();
        let mut last = String::new();
        for tried in 0..TRIES {
            let url = &self.urls[(self.number + tried) % self.urls.len()];
            match self.send_once(method.clone(), &format!("{url}{path}"), key, body).await {
                Ok((status, body)) => {
                    let is_under_way = status == StatusCode::CONFLICT && body["code"] == "request_in_flight";
                    let is_answer = !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS;
                    if is_answer && !is_under_way {
                        return (status, body);
                    }
                    last = format!("{status} {body}");
                }
                Err(error) => last = format!("{error:?}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{method} {path}: no reply after {TRIES} tries, the last was {last}");
    }

    /// Sends a request once, and notes what comes of it.
    async fn send_once(
        &self,
        method: Method,
        url: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> reqwest::Result<(StatusCode, Value)> {
        let mut request = self.client.request(method.clone(), url).header(
            "X-Forwarded-For",
            format!("198.18.{}.{}", self.number / 250 % 250, self.number % 250 + 1),
        );
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let permit = self.permits.acquire().await.unwrap();
        let (started, sent_at) = (engine::clock::start_stopwatch(), engine::clock::read_wall_clock());
        let reply = async {
            let reply = request.send().await?;
            let (status, retries) = (reply.status(), reply.headers().contains_key("retry-after"));
            Ok::<_, reqwest::Error>((status, retries, reply.bytes().await?))
        };
        let reply = reply.await;
        let took = started.elapsed();
        drop(permit);

        let mut tally = self.stats.lock().unwrap();
        if let Err(error) = &reply {
            if error.is_timeout() {
                tally.timed_out += 1;
                tally.last_timeout = format!(
                    "{method} {url} with the key {key:?}, sent at {sent_at:?}, failed after {took:?}: {error:?}"
                );
            } else {
                tally.disconnected += 1;
            }
        }
        let (status, retries, bytes) = reply?;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_server_error() && took > tally.slowest {
            tally.slowest = took;
            tally.slowest_reply = format!("{method} {url}: {status} {body}");
        }
        if status == StatusCode::SERVICE_UNAVAILABLE && retries {
            tally.refused_for_now += 1;
        } else if status.is_server_error() {
            tally.unexpected.push(format!("{method} {url}: {status} (retry-after: {retries}) {body}"));
        } else {
            tally.answered += 1;
        }
        Ok((status, body))
    }
}
