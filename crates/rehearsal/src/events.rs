//! A receiver of webhooks of the rehearsal's own: it takes every event and keeps what the judge compares. It outlives the crashes of the
//! instance, replies at once, and never judges.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Bytes of an event at most; the largest has some two thousand.
const BODY_LEN_MAX: usize = 1 << 20;
/// After a connection that could not be taken: others close theirs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The header with the event's id.
const ID_HEADER: &str = "webhook-id";

/// An event as it came, as far as the judge reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectedEvent {
    /// Its type, such as `doorbuster.order.confirmed`.
    pub event_type: String,
    /// The sale it is about.
    pub sale: Option<Uuid>,
    /// The order it is about.
    pub order: Option<Uuid>,
    /// The number of the sale's last event, or of the payment's step.
    pub version: Option<u64>,
    /// Units that are sold after it.
    pub sold: Option<u64>,
    /// How often it came.
    pub times: u64,
    /// How many repeats were another document.
    pub changed: u64,
    digest: [u8; 32],
}

/// Everything that came.
#[derive(Clone, Debug, Default)]
pub struct CollectedEvents {
    pub by_id: HashMap<String, CollectedEvent>,
    /// Requests that were no event, or named another id in their header.
    pub malformed: u64,
}

/// What is read of a document.
#[derive(Deserialize)]
struct EventBody {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    data: EventBodyData,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventBodyData {
    sale_id: Option<Uuid>,
    order_id: Option<Uuid>,
    version: Option<u64>,
    counters: Option<EventBodyCounters>,
}

#[derive(Deserialize)]
struct EventBodyCounters {
    sold: u64,
}

impl CollectedEvents {
    /// Takes a request.
    pub fn record(&mut self, header: Option<&str>, body: &[u8]) {
        let parsed = serde_json::from_slice::<EventBody>(body);
        let Some(EventBody { id, event_type, data }) =
            parsed.ok().filter(|event| header == Some(event.id.as_str()))
        else {
            self.malformed += 1;
            return;
        };
        let digest: [u8; 32] = Sha256::digest(body).into();
        let event = self.by_id.entry(id).or_insert_with(|| CollectedEvent {
            event_type,
            sale: data.sale_id,
            order: data.order_id,
            version: data.version,
            sold: data.counters.map(|counters| counters.sold),
            times: 0,
            changed: 0,
            digest,
        });
        event.times += 1;
        event.changed += u64::from(event.digest != digest);
    }

    /// How many requests brought an event.
    #[must_use]
    pub fn count_deliveries(&self) -> u64 {
        self.by_id.values().map(|event| event.times).sum()
    }
}

/// A running receiver.
pub struct EventCollector {
    url: String,
    events: Arc<Mutex<CollectedEvents>>,
    task: JoinHandle<()>,
}

impl EventCollector {
    /// Starts one on a free port of this machine.
    ///
    /// # Errors
    /// When the machine gives no port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}/events", listener.local_addr()?);
        let events = Arc::<Mutex<CollectedEvents>>::default();
        let task = tokio::spawn(accept_connections(listener, Arc::clone(&events)));
        Ok(Self { url, events, task })
    }

    /// Where it takes events.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Looks at what came so far.
    pub fn look<T>(&self, look: impl FnOnce(&CollectedEvents) -> T) -> T {
        look(&lock(&self.events))
    }
}

impl Drop for EventCollector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept_connections(listener: TcpListener, events: Arc<Mutex<CollectedEvents>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&events)))),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(stream: TcpStream, events: Arc<Mutex<CollectedEvents>>) {
    let service = service_fn(move |request| take_event(request, Arc::clone(&events)));
    // A connection that a killed instance has cut is no failure.
    let _cut = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn take_event(
    request: Request<Incoming>,
    events: Arc<Mutex<CollectedEvents>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = request.headers().get(ID_HEADER).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let body = Limited::new(request.into_body(), BODY_LEN_MAX).collect().await;
    let status = match body {
        Ok(body) => {
            lock(&events).record(header.as_deref(), &body.to_bytes());
            StatusCode::NO_CONTENT
        }
        // It is sent again.
        Err(_) => StatusCode::BAD_REQUEST,
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    Ok(response)
}

fn lock(events: &Mutex<CollectedEvents>) -> MutexGuard<'_, CollectedEvents> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_kept_once_with_its_repeats_and_what_is_none_is_counted() {
        let sale = Uuid::from_u128(1);
        let body = |sold: u64| {
            let data = json!({"saleId": sale, "version": 3, "counters": {"sold": sold}});
            serde_json::to_vec(&json!({"id": "a", "type": "doorbuster.line.joined", "data": data})).unwrap()
        };
        let mut events = CollectedEvents::default();
        events.record(Some("a"), &body(1));
        events.record(Some("a"), &body(1));
        events.record(Some("a"), &body(2));
        events.record(Some("b"), &body(1));
        events.record(None, &body(1));
        events.record(Some("a"), b"no event");
        let event = &events.by_id["a"];
        assert_eq!((event.times, event.changed, event.sold, event.version), (3, 1, Some(1), Some(3)));
        assert_eq!((event.sale, event.order), (Some(sale), None));
        assert_eq!((events.by_id.len(), events.malformed, events.count_deliveries()), (1, 3, 3));
    }
}
