//! Webhooks over kills of the process: what a receiver got, compared with the ledger.

use crate::real::crowd::BuyerCrowd;
use crate::real::instance::{ServerProcess, text};
use engine::clock::read_wall_clock;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use test_servers::receiver::{ReceiverAction, WebhookReceiver};
use test_servers::wait::{HANG_LIMIT, eventually};

const KILLS: i64 = 5;
/// Orders before each kill. All of them are on one page of deliveries.
const ORDERS: usize = 25;
/// By how much the clock moves with each start: more than the first two waits of the schedule.
const JUMP_MS: i64 = 400_000;

/// A receiver that refuses the first two tries of half of the events, and keeps the ids that it accepted.
fn refusing_receiver() -> WebhookReceiver {
    let tries: Mutex<HashMap<String, u32>> = Mutex::default();
    WebhookReceiver::start(move |request, _| {
        let id = &request.headers["webhook-id"];
        let is_refused = id.bytes().map(u32::from).sum::<u32>() % 2 == 0;
        let mut tries = tries.lock().unwrap();
        let count = tries.entry(id.clone()).or_default();
        *count += 1;
        ReceiverAction::status(if is_refused && *count <= 2 { 503 } else { 200 })
    })
}

/// The deliveries of an endpoint that are not delivered.
async fn pending(instance: &ServerProcess, webhook: &str) -> Vec<Value> {
    deliveries(instance, webhook, "state=pending&limit=200").await
}

async fn deliveries(instance: &ServerProcess, webhook: &str, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/admin/webhooks/{webhook}/deliveries?{query}");
    instance.get(&path, Some(&instance.admin)).await["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_arrives_over_five_kills_and_none_is_invented() {
    let receiver = refusing_receiver();
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    let turn = |ms: i64| std::fs::write(&clock, ms.to_string()).unwrap();
    turn(0);
    let mut instance = ServerProcess::prepared(&[
        "--limits",
        "off",
        "--public-url",
        "https://shop.example",
        "--webhooks-allow-http",
        "--webhooks-allow-private",
        "127.0.0.1",
        "--accept-clock",
        "--rehearsal-clock",
        clock.to_str().unwrap(),
    ]);
    instance.launch().await;
    instance.open_shop().await;
    let body = json!({"url": receiver.url("/hooks"), "types": ["order.confirmed"]});
    let admin = instance.admin.clone();
    let webhook = text(&instance.post("/api/v1/admin/webhooks", &body, Some(&admin)).await, "id");
    let wanted =
        json!({"quantity": 1_000, "holdSeconds": 0, "limitPerBuyer": 1_000, "admission": {"type": "open"}});
    let sale = instance.create_sale(&wanted).await;
    let buyer = BuyerCrowd::register(&instance, 1).await.tokens.remove(0);
    let order = json!({"flashSaleId": sale, "quantity": 1});

    for kill in 1..=KILLS {
        let before = receiver.count_requests();
        let buying = (0..ORDERS).map(|_| instance.post("/api/v1/orders", &order, Some(&buyer)));
        futures::future::join_all(buying).await;
        eventually("some arrive", HANG_LIMIT, async || receiver.count_requests() > before + 2).await;
        instance.kill();
        turn(kill * JUMP_MS);
        instance.launch().await;
    }
    let events = ORDERS * usize::try_from(KILLS).unwrap();
    eventually("each event is to be delivered", HANG_LIMIT, async || {
        deliveries(&instance, &webhook, "limit=200").await.len() == events
    })
    .await;
    // The tries that are left, each after its wait.
    for start in 1..=3 {
        let now = || read_wall_clock().plus_ms((KILLS + start - 1) * JUMP_MS).0;
        eventually("what is due was tried", HANG_LIMIT, async || {
            let now = now();
            pending(&instance, &webhook).await.iter().all(|delivery| {
                let next: jiff::Timestamp = delivery["nextTryAt"].as_str().unwrap().parse().unwrap();
                next.as_millisecond() > now
            })
        })
        .await;
        instance.kill();
        turn((KILLS + start) * JUMP_MS);
        instance.launch().await;
    }
    eventually("nothing waits", HANG_LIMIT, async || pending(&instance, &webhook).await.is_empty()).await;

    let mut recorded = HashSet::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/admin/flash-sales/{sale}/events?limit=200{cursor}");
        let page = instance.get(&path, Some(&admin)).await;
        let events = page["items"].as_array().unwrap().iter();
        let confirmed = events.filter(|event| event["type"] == "doorbuster.order.confirmed");
        recorded.extend(confirmed.map(|event| text(event, "id")));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(recorded.len(), events);
    let received: HashSet<String> =
        receiver.requests().iter().map(|request| request.headers["webhook-id"].clone()).collect();
    assert_eq!(received, recorded, "each event of the ledger arrived, and nothing else");
}
