//! Webhooks of the stand-in: signed as Stripe signs them, sent to each receiver once, twice, held back, in another order or never, and again
//! while one of them does not accept them.

use super::{StandInState, TEST_WEBHOOK_SECRET, lock, now_s};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How long a receiver gets for a webhook.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait before a webhook is sent again. Stripe waits longer.
const RETRY_WAIT: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookMode {
    /// Each once, in order.
    #[default]
    Once,
    /// Each twice.
    Twice,
    /// None, for good.
    Never,
    /// None until they are released.
    Hold,
}

#[derive(Default)]
pub(crate) struct WebhookQueue {
    inner: Mutex<QueueState>,
    changed: Notify,
}

#[derive(Default)]
struct QueueState {
    targets: Vec<String>,
    mode: WebhookMode,
    waiting: VecDeque<Value>,
    held: Vec<Value>,
}

impl WebhookQueue {
    pub(super) fn set_targets(&self, urls: Vec<String>) {
        lock(&self.inner).targets = urls;
        self.changed.notify_one();
    }

    pub(super) fn set_mode(&self, mode: WebhookMode) {
        lock(&self.inner).mode = mode;
    }

    pub(super) fn add(&self, events: Vec<Value>) {
        let mut queue = lock(&self.inner);
        for event in events {
            match queue.mode {
                WebhookMode::Once => queue.waiting.push_back(event),
                WebhookMode::Twice => queue.waiting.extend([event.clone(), event]),
                WebhookMode::Never => {}
                WebhookMode::Hold => queue.held.push(event),
            }
        }
        drop(queue);
        self.changed.notify_one();
    }

    pub(super) fn release(&self, reversed: bool) {
        let mut queue = lock(&self.inner);
        let mut held = std::mem::take(&mut queue.held);
        if reversed {
            held.reverse();
        }
        queue.waiting.extend(held);
        drop(queue);
        self.changed.notify_one();
    }

    pub(super) fn count_held(&self) -> usize {
        let queue = lock(&self.inner);
        queue.held.len() + queue.waiting.len()
    }

    fn next(&self) -> Option<(Vec<String>, Value)> {
        let queue = lock(&self.inner);
        let event = queue.waiting.front().filter(|_| !queue.targets.is_empty())?;
        Some((queue.targets.clone(), event.clone()))
    }

    fn remove_first(&self) {
        lock(&self.inner).waiting.pop_front();
    }
}

/// Sends webhooks, one after the other, each to all receivers at once, for ever.
pub(super) async fn deliver(state: Arc<StandInState>) {
    loop {
        let Some((urls, event)) = state.webhooks.next() else {
            state.webhooks.changed.notified().await;
            continue;
        };
        let sending: JoinSet<bool> = urls.into_iter().map(|url| deliver_to(url, event.clone())).collect();
        if sending.join_all().await.into_iter().all(std::convert::identity) {
            state.webhooks.remove_first();
        } else {
            tokio::time::sleep(RETRY_WAIT).await;
        }
    }
}

/// Sends an event to a receiver; whether it has accepted it.
async fn deliver_to(url: String, event: Value) -> bool {
    let sent = tokio::time::timeout(REPLY_TIMEOUT, send(&url, &event)).await;
    matches!(sent, Ok(Ok(200..=299)))
}

/// Posts an event and returns the status of the reply.
async fn send(url: &str, event: &Value) -> std::io::Result<u16> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let body = event.to_string();
    let mut stream = TcpStream::connect(host).await?;
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json; charset=utf-8\r\nstripe-signature: {}\r\n\
        content-length: {}\r\nconnection: close\r\n\r\n",
        sign(TEST_WEBHOOK_SECRET, now_s(), body.as_bytes()),
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    Ok(line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0))
}

/// The header `Stripe-Signature` of a body.
#[must_use]
pub fn sign(secret: &str, time_s: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time_s}.").as_bytes());
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time_s},v1={hex}")
}
