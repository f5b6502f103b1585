//! The sender with real receivers and real tables, in time that the test moves.

use super::super::outgoing::{OutgoingEvent, write_deliveries};
use super::*;
use crate::shop::ids;
use crate::store::webhook_deliveries::DeliveryRow;
use crate::store::webhook_endpoints::EndpointChanges;
use crate::webhooks::address::{AddressPolicy, WebhookUrl};
use crate::webhooks::client::{SystemResolver, tls_config};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use test_servers::receiver::{ReceivedRequest, ReceiverAction, WebhookReceiver};
use test_servers::wait::{HANG_LIMIT, eventually};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::RootCertStore;

const DAY_MS: i64 = 86_400_000;

/// The machine's clock: another time than that of the shop.
const WALL_CLOCK: Timestamp = Timestamp(1_700_000_000_000);

/// Tables, and the time of a shop.
struct WebhookTables {
    store: Store,
    _folder: tempfile::TempDir,
    clock: Arc<AtomicI64>,
    wake: Arc<Notify>,
    events: Mutex<u32>,
}

struct RunningSender {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl RunningSender {
    async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }

    /// Ends it between any two steps, as a killed process does.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

impl WebhookTables {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
        Self { store, _folder: folder, clock, wake: Arc::default(), events: Mutex::default() }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::SeqCst))
    }

    fn advance(&self, time: Duration) {
        self.clock.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
        self.wake.notify_one();
    }

    fn dependencies(&self) -> SenderDependencies {
        let policy = AddressPolicy { allow_http: true, allow_private: vec!["127.0.0.0/8".parse().unwrap()] };
        let tls = tls_config(RootCertStore::empty());
        let clock = Arc::clone(&self.clock);
        // On a busy machine a test may last longer than a call: one that stalls must not be given up and another sent in its place.
        let client = WebhookClient::new(policy, Arc::new(SystemResolver), tls).with_call_timeout(HANG_LIMIT);
        SenderDependencies {
            store: self.store.clone(),
            client: Arc::new(client),
            now: Arc::new(move || Timestamp(clock.load(Ordering::SeqCst))),
            wall_clock: Arc::new(|| WALL_CLOCK),
            wake: Arc::clone(&self.wake),
            metrics: WebhookMetrics::default(),
            random: Box::new(|| 0.0),
        }
    }

    fn start(&self) -> RunningSender {
        let (stop, stopping) = watch::channel(false);
        RunningSender { stop, task: tokio::spawn(run_sender(self.dependencies(), stopping)) }
    }

    async fn endpoint(&self, receiver: &WebhookReceiver) -> (EndpointRow, WebhookSecret) {
        let now = self.now();
        let endpoint = EndpointRow {
            id: ids::new(now),
            url: WebhookUrl::from_saved(&receiver.url("/hooks")).unwrap(),
            description: None,
            types: vec!["*".to_owned()],
            sales: Vec::new(),
            include_email: false,
            disabled: None,
            previous_secret_until: None,
            created_at: now,
            updated_at: now,
            failing_since: None,
            gave_up_at: None,
            paused_until: None,
        };
        let secret = WebhookSecret::generate();
        rows::insert(&self.store, &endpoint, &secret).await.unwrap();
        (endpoint, secret)
    }

    /// Writes an event for these endpoints, and returns its id.
    async fn event(&self, endpoints: &[&EndpointRow]) -> String {
        self.events(endpoints, 1).await.remove(0)
    }

    async fn events(&self, endpoints: &[&EndpointRow], count: u32) -> Vec<String> {
        let first = {
            let mut events = self.events.lock().unwrap();
            *events += count;
            *events - count
        };
        let ids: Vec<String> = (first..first + count).map(|n| format!("sale/{n}/00000000")).collect();
        let events = ids.iter().map(|id| OutgoingEvent {
            id: id.clone(),
            kind: "order.confirmed".to_owned(),
            sale: None,
            buyer: None,
            at: self.now(),
            body: format!(r#"{{"id":"{id}","data":{{}}}}"#),
        });
        let endpoints: Vec<EndpointRow> = endpoints.iter().map(|&endpoint| endpoint.clone()).collect();
        let mut writing = self.store.begin().await.unwrap();
        write_deliveries(&mut writing, &endpoints, events.collect(), self.now()).await.unwrap();
        writing.commit().await.unwrap();
        self.wake.notify_one();
        ids
    }

    /// The endpoint as it is now.
    async fn read(&self, endpoint: &EndpointRow) -> EndpointRow {
        rows::find(&self.store, endpoint.id).await.unwrap().unwrap()
    }

    async fn deliveries(&self, endpoint: &EndpointRow) -> Vec<DeliveryRow> {
        deliveries::list(&self.store, endpoint.id, None, None, 200).await.unwrap()
    }

    async fn only_delivery(&self, endpoint: &EndpointRow) -> DeliveryRow {
        let mut all = self.deliveries(endpoint).await;
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    async fn wait_for_tries(&self, endpoint: &EndpointRow, tries: i64) -> DeliveryRow {
        eventually("the try is recorded", HANG_LIMIT, async || {
            self.only_delivery(endpoint).await.tries == tries
        })
        .await;
        self.only_delivery(endpoint).await
    }

    /// Waits until the sender has had the chance to send whatever is due.
    async fn pass_a_round(&self) {
        let receiver = WebhookReceiver::with_status(200);
        let (endpoint, _) = self.endpoint(&receiver).await;
        for _ in 0..2 {
            let before = receiver.count_requests();
            self.event(&[&endpoint]).await;
            eventually("a round passes", HANG_LIMIT, async || receiver.count_requests() > before).await;
        }
        rows::mark_deleted(&self.store, endpoint.id, self.now()).await.unwrap();
    }
}

fn event_ids(requests: &[ReceivedRequest]) -> HashSet<String> {
    requests.iter().map(|request| request.headers["webhook-id"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_tried_by_the_schedule_and_then_given_up() {
    let tables = WebhookTables::open().await;
    let receiver = WebhookReceiver::start(|_, before| ReceiverAction::Reply {
        status: 500,
        headers: Vec::new(),
        body: format!("no {before}"),
    });
    let (endpoint, _) = tables.endpoint(&receiver).await;
    let id = tables.event(&[&endpoint]).await;
    let sender = tables.start();
    for (n, delay) in (1..).zip(schedule::RETRY_DELAYS) {
        let delivery = tables.wait_for_tries(&endpoint, n).await;
        assert_eq!(delivery.state, DeliveryState::Pending);
        assert_eq!(delivery.next_try_at, Some(schedule::after(tables.now(), delay)), "after try {n}");
        assert_eq!(delivery.last_reply, Some(format!("no {}", n - 1)));
        tables.advance(delay - Duration::from_millis(1));
        if n == 1 {
            tables.pass_a_round().await;
            assert_eq!(receiver.count_requests(), 1, "it is not sent before its time");
        }
        tables.advance(Duration::from_millis(1));
    }
    let delivery = tables.wait_for_tries(&endpoint, 10).await;
    assert_eq!((delivery.state, delivery.next_try_at), (DeliveryState::Failed, None));
    assert_eq!((delivery.last_status, delivery.ended_at), (Some(500), Some(tables.now())));
    let marked = tables.read(&endpoint).await;
    assert_eq!((marked.gave_up_at, marked.disabled), (Some(tables.now()), None));
    assert_eq!(event_ids(&receiver.requests()), HashSet::from([id]), "its id is the same each time");

    receiver.behave(|_, _| ReceiverAction::status(204));
    assert!(deliveries::resend(&tables.store, endpoint.id, delivery.id, tables.now()).await.unwrap());
    tables.wake.notify_one();
    let delivery = tables.wait_for_tries(&endpoint, 11).await;
    assert_eq!((delivery.state, delivery.last_reply), (DeliveryState::Delivered, None));
    let healthy = tables.read(&endpoint).await;
    assert_eq!((healthy.failing_since, healthy.gave_up_at), (None, None));
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_gets_nothing_more_until_it_is_enabled_again() {
    let tables = WebhookTables::open().await;
    let receiver = WebhookReceiver::with_status(410);
    let (endpoint, _) = tables.endpoint(&receiver).await;
    let sender = tables.start();
    tables.event(&[&endpoint]).await;
    eventually("it is disabled", HANG_LIMIT, async || {
        tables.read(&endpoint).await.disabled == Some(DisabledReason::Gone)
    })
    .await;
    let waiting = tables.event(&[&endpoint]).await;
    tables.advance(Duration::from_secs(60));
    tables.pass_a_round().await;
    assert_eq!(receiver.count_requests(), 1);

    receiver.behave(|_, _| ReceiverAction::status(200));
    let enabled = EndpointChanges { enabled: Some(true), ..EndpointChanges::default() };
    rows::update(&tables.store, endpoint.id, &enabled, tables.now()).await.unwrap().unwrap();
    tables.wake.notify_one();
    eventually("what waited is sent", HANG_LIMIT, async || receiver.count_requests() == 3).await;
    assert!(event_ids(&receiver.requests()).contains(&waiting));
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_has_only_failed_for_five_days_is_disabled() {
    let tables = WebhookTables::open().await;
    let receiver = WebhookReceiver::start(|_, _| ReceiverAction::HangUp);
    let (endpoint, _) = tables.endpoint(&receiver).await;
    let sender = tables.start();
    for day in 0..=5 {
        tables.event(&[&endpoint]).await;
        let expected = (day == 5).then_some(DisabledReason::Failing);
        eventually("the day's tries are recorded", HANG_LIMIT, async || {
            let all = tables.deliveries(&endpoint).await;
            all.len() == day + 1
                && all.iter().all(|delivery| {
                    delivery.tries > 0 && delivery.next_try_at.is_none_or(|at| at > tables.now())
                })
                || tables.read(&endpoint).await.disabled.is_some()
        })
        .await;
        assert_eq!(tables.read(&endpoint).await.disabled, expected, "on day {day}");
        if day < 5 {
            tables.advance(Duration::from_hours(24));
        }
    }
    let first = tables.deliveries(&endpoint).await.pop().unwrap();
    assert_eq!(first.last_error.as_deref(), Some("the connection ended before there was a reply"));
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overloaded_endpoint_gets_nothing_before_its_time_but_what_a_merchant_asks_for() {
    let tables = WebhookTables::open().await;
    let receiver = WebhookReceiver::start(|_, before| ReceiverAction::Reply {
        status: if before == 0 { 429 } else { 200 },
        headers: vec![("retry-after", "600".to_owned())],
        body: String::new(),
    });
    let (endpoint, _) = tables.endpoint(&receiver).await;
    let sender = tables.start();
    tables.event(&[&endpoint]).await;
    let until = schedule::after(tables.now(), Duration::from_secs(600));
    let delivery = tables.wait_for_tries(&endpoint, 1).await;
    assert_eq!(delivery.next_try_at, Some(until), "it asked for longer than the schedule");
    assert_eq!(tables.read(&endpoint).await.paused_until, Some(until));
    tables.event(&[&endpoint]).await;
    tables.advance(Duration::from_secs(599));
    tables.pass_a_round().await;
    assert_eq!(receiver.count_requests(), 1, "neither is sent");

    assert!(deliveries::resend(&tables.store, endpoint.id, delivery.id, tables.now()).await.unwrap());
    tables.wake.notify_one();
    eventually("what was asked for is sent", HANG_LIMIT, async || receiver.count_requests() >= 2).await;
    eventually("a success ends the pause", HANG_LIMIT, async || receiver.count_requests() == 3).await;
    assert_eq!(tables.read(&endpoint).await.paused_until, None);
    sender.stop().await;
}

#[tokio::test]
async fn a_pause_is_made_neither_shorter_nor_ended_by_replies_to_what_was_sent_before_it() {
    let tables = WebhookTables::open().await;
    let receiver = WebhookReceiver::with_status(200);
    let (endpoint, _) = tables.endpoint(&receiver).await;
    tables.events(&[&endpoint], 4).await;
    let mut waiting = tables.deliveries(&endpoint).await;
    let mut sender = WebhookSender::new(tables.dependencies());
    let mut record = async |pause_when_sent: Option<Timestamp>, status: u16, retry_after: Option<&str>| {
        // As a round does that finds the endpoint paused.
        sender.troubled.insert(endpoint.id);
        sender.unrecorded.push(FinishedTry {
            endpoint: endpoint.id,
            delivery: waiting.pop().unwrap().id,
            version: 0,
            step: 0,
            pause_when_sent,
            outcome: Ok(ReceiverReply {
                status,
                retry_after: retry_after.map(str::to_owned),
                excerpt: String::new(),
            }),
        });
        sender.record_results(&tables.store).await.unwrap();
        tables.read(&endpoint).await.paused_until
    };
    let until = Some(schedule::after(tables.now(), Duration::from_secs(600)));
    assert_eq!(record(None, 429, Some("600")).await, until);
    assert_eq!(record(None, 502, Some("5")).await, until, "a shorter one changes nothing");
    assert_eq!(record(None, 200, None).await, until, "it was sent before the pause");
    assert_eq!(record(until, 200, None).await, None, "it was sent during the pause");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_stall_delay_no_other() {
    let tables = WebhookTables::open().await;
    let stalling = WebhookReceiver::start(|_, _| ReceiverAction::Stall);
    let mut endpoints = Vec::new();
    for _ in 0..20 {
        endpoints.push(tables.endpoint(&stalling).await.0);
    }
    // More than there are places.
    let all: Vec<&EndpointRow> = endpoints.iter().collect();
    tables.events(&all, 20).await;
    let sender = tables.start();
    let places = SHARED_PLACES.min(20 * 16);
    eventually("all shared places are taken", HANG_LIMIT, async || stalling.count_requests() >= places).await;
    let receiver = WebhookReceiver::with_status(200);
    let (endpoint, _) = tables.endpoint(&receiver).await;
    let ids = tables.events(&[&endpoint], 50).await;
    eventually("the other endpoint gets its events", HANG_LIMIT, async || receiver.count_requests() == 50)
        .await;
    assert_eq!(event_ids(&receiver.requests()), ids.into_iter().collect());
    assert!(stalling.count_requests() <= IN_FLIGHT_MAX);
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_has_16_deliveries_in_flight_at_most() {
    let tables = WebhookTables::open().await;
    let stalling = WebhookReceiver::start(|_, _| ReceiverAction::Stall);
    let (endpoint, _) = tables.endpoint(&stalling).await;
    tables.events(&[&endpoint], 40).await;
    let sender = tables.start();
    eventually("its places are taken", HANG_LIMIT, async || stalling.count_requests() == 16).await;
    tables.pass_a_round().await;
    assert_eq!(stalling.count_requests(), 16);
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_deliveries_of_a_start_arrive_although_senders_are_killed_and_two_run_at_once() {
    let tables = WebhookTables::open().await;
    // Half of them are refused twice; the schedule runs in the test's time.
    let refused: Mutex<HashMap<String, u32>> = Mutex::default();
    let receiver = WebhookReceiver::start(move |request, _| {
        let id = &request.headers["webhook-id"];
        let is_odd = id.split('/').nth(1).unwrap().parse::<u32>().unwrap() % 2 == 1;
        let mut refused = refused.lock().unwrap();
        let count = refused.entry(id.clone()).or_default();
        *count += 1;
        ReceiverAction::status(if is_odd && *count <= 2 { 500 } else { 200 })
    });
    let (endpoint, _) = tables.endpoint(&receiver).await;
    let ids: HashSet<String> = tables.events(&[&endpoint], 10_000).await.into_iter().collect();
    for kill in 1..=5 {
        let sender = tables.start();
        eventually("some arrive", HANG_LIMIT, async || receiver.count_requests() > 400 * kill).await;
        sender.kill().await;
    }
    // A file has one process, so each sender has the lock: as two do that both believe they have it.
    let senders = [tables.start(), tables.start()];
    let pending = async || deliveries::count_pending(&tables.store, COUNTED_MAX).await.unwrap();
    eventually("all arrive", Duration::from_secs(240), async || {
        // Few enough that the longest wait does not make 30 days, after which deliveries are deleted.
        tables.advance(Duration::from_secs(30));
        pending().await == 0
    })
    .await;
    assert_eq!(event_ids(&receiver.requests()), ids, "each arrived, and nothing else");
    for sender in senders {
        sender.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_in_an_hour_without_a_receiver_arrives_once_it_is_back() {
    let tables = WebhookTables::open().await;
    let receiver = WebhookReceiver::with_status(500);
    let (endpoint, _) = tables.endpoint(&receiver).await;
    let sender = tables.start();
    let mut ids = HashSet::new();
    for _ in 0..12 {
        ids.extend(tables.events(&[&endpoint], 10).await);
        eventually("each was tried", HANG_LIMIT, async || event_ids(&receiver.requests()) == ids).await;
        tables.advance(Duration::from_mins(5));
    }
    receiver.behave(|_, _| ReceiverAction::status(204));
    eventually("all arrive", HANG_LIMIT, async || {
        tables.advance(Duration::from_mins(6));
        deliveries::count_pending(&tables.store, COUNTED_MAX).await.unwrap() == 0
    })
    .await;
    let deliveries = tables.deliveries(&endpoint).await;
    assert_eq!(deliveries.len(), ids.len());
    let is_late = |row: &DeliveryRow| row.state == DeliveryState::Delivered && row.tries > 1;
    assert!(deliveries.iter().all(is_late), "{deliveries:?}");
    assert_eq!(event_ids(&receiver.requests()), ids, "nothing else came");
    assert_eq!(tables.read(&endpoint).await.disabled, None);
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_deleted_between_two_tries_gets_no_second_one() {
    let tables = WebhookTables::open().await;
    let receiver = WebhookReceiver::with_status(500);
    let (endpoint, _) = tables.endpoint(&receiver).await;
    let sender = tables.start();
    tables.event(&[&endpoint]).await;
    tables.wait_for_tries(&endpoint, 1).await;
    assert!(rows::mark_deleted(&tables.store, endpoint.id, tables.now()).await.unwrap());
    // A round that has begun may have read the endpoint before.
    tables.pass_a_round().await;
    tables.advance(Duration::from_secs(60));
    tables.pass_a_round().await;
    assert_eq!(receiver.count_requests(), 1);
    sender.stop().await;

    let mut sweeping = WebhookSender::new(tables.dependencies());
    sweeping.sweep(&tables.store).await.unwrap();
    assert!(tables.deliveries(&endpoint).await.is_empty());
    assert!(rows::list_deleted(&tables.store).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_forgotten_after_30_days() {
    let tables = WebhookTables::open().await;
    let receiver = WebhookReceiver::with_status(200);
    let (endpoint, _) = tables.endpoint(&receiver).await;
    tables.events(&[&endpoint], 3).await;
    let mut sweeping = WebhookSender::new(tables.dependencies());
    tables.clock.fetch_add(30 * DAY_MS, Ordering::SeqCst);
    tables.event(&[&endpoint]).await;
    sweeping.sweep(&tables.store).await.unwrap();
    assert_eq!(tables.deliveries(&endpoint).await.len(), 4, "on the last day they are there");
    tables.clock.fetch_add(1, Ordering::SeqCst);
    sweeping.sweep(&tables.store).await.unwrap();
    assert_eq!(tables.deliveries(&endpoint).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_signed_with_each_secret_that_is_valid() {
    let tables = WebhookTables::open().await;
    let receiver = WebhookReceiver::with_status(200);
    let (endpoint, old) = tables.endpoint(&receiver).await;
    let new = WebhookSecret::generate();
    let until = schedule::after(tables.now(), Duration::from_hours(24));
    assert!(rows::rotate_secret(&tables.store, endpoint.id, &new, until, tables.now()).await.unwrap());
    let sender = tables.start();
    tables.event(&[&endpoint]).await;
    eventually("it arrives", HANG_LIMIT, async || receiver.count_requests() == 1).await;
    tables.advance(Duration::from_hours(24));
    tables.event(&[&endpoint]).await;
    eventually("the next arrives", HANG_LIMIT, async || receiver.count_requests() == 2).await;
    let requests = receiver.requests();
    let sign = |secret: &WebhookSecret, request: &ReceivedRequest| {
        let timestamp = request.headers["webhook-timestamp"].parse().unwrap();
        assert_eq!(timestamp, WALL_CLOCK.0 / 1_000, "receivers compare it with their own clock");
        secret.sign(&request.headers["webhook-id"], timestamp, &request.body)
    };
    let both = format!("{} {}", sign(&new, &requests[0]), sign(&old, &requests[0]));
    assert_eq!(requests[0].headers["webhook-signature"], both);
    assert_eq!(requests[1].headers["webhook-signature"], sign(&new, &requests[1]));
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_resent_while_it_is_in_flight_is_sent_once_more() {
    let tables = WebhookTables::open().await;
    let receiver = WebhookReceiver::start(|_, before| {
        if before == 0 {
            ReceiverAction::Delay(Duration::from_millis(300), 500)
        } else {
            ReceiverAction::status(200)
        }
    });
    let (endpoint, _) = tables.endpoint(&receiver).await;
    let sender = tables.start();
    tables.event(&[&endpoint]).await;
    eventually("it is in flight", HANG_LIMIT, async || receiver.count_requests() == 1).await;
    let delivery = tables.only_delivery(&endpoint).await;
    assert!(deliveries::resend(&tables.store, endpoint.id, delivery.id, tables.now()).await.unwrap());
    eventually("it is delivered", HANG_LIMIT, async || {
        tables.only_delivery(&endpoint).await.state == DeliveryState::Delivered
    })
    .await;
    assert_eq!(receiver.count_requests(), 2);
    sender.stop().await;
}

#[test]
fn an_address_is_added_to_the_data_of_a_document() {
    let body = add_email(r#"{"id":"a","data":{"buyerId":"b"}}"#, "ada@example.com");
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document["data"]["buyerEmail"], "ada@example.com");
    assert_eq!(add_email("no document", "ada@example.com"), "no document");
}
