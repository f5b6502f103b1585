//! Webhooks from outside: endpoints by the admin API, events at a real receiver, and what an endpoint may not be.

use crate::merchant::{Merchant, order, pay};
use crate::support::{HttpReply, TestApp};
use futures::future::BoxFuture;
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::commands::settings::Serve;
use server::webhooks::client::{NameResolver, SharedResolver};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use test_servers::postgres::PostgresServer;
use test_servers::receiver::{ReceivedRequest, ReceiverAction, WebhookReceiver};
use test_servers::wait::{HANG_LIMIT, eventually, eventually_some};

#[expect(dead_code, reason = "its `main` is for the command line")]
#[path = "../../examples/verify_webhook.rs"]
mod verify_webhook;

use verify_webhook::{VerificationError, WebhookHeaders, verify_webhook};

const FLAGS: [&str; 9] = [
    "--limits",
    "off",
    // Longer than the schedule.
    "--token-ttl",
    "30d",
    "--public-url",
    "https://shop.example",
    "--webhooks-allow-http",
    "--webhooks-allow-private",
    "127.0.0.0/8",
];

async fn start() -> TestApp {
    TestApp::start_with(&FLAGS).await
}

/// Makes an endpoint at this receiver, and returns its document.
async fn create(merchant: &Merchant<'_>, receiver: &WebhookReceiver, types: &[&str]) -> Value {
    let body = json!({"url": receiver.url("/hooks"), "types": types});
    let reply = merchant.post("/webhooks", &body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    reply.json()
}

fn id(document: &Value) -> &str {
    document["id"].as_str().unwrap()
}

/// The deliveries of an endpoint, the newest first.
async fn deliveries(merchant: &Merchant<'_>, webhook: &Value) -> Vec<Value> {
    let page = merchant.get(&format!("/webhooks/{}/deliveries?limit=200", id(webhook))).await;
    page["items"].as_array().unwrap().clone()
}

/// Waits until the newest delivery of an endpoint is so.
async fn wait_for_delivery(
    merchant: &Merchant<'_>,
    webhook: &Value,
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    eventually_some("a delivery is recorded", HANG_LIMIT, async || {
        deliveries(merchant, webhook).await.into_iter().next().filter(&is_so)
    })
    .await
}

fn verify(request: &ReceivedRequest, secret: &str) -> Result<(), VerificationError> {
    let headers = WebhookHeaders {
        id: &request.headers["webhook-id"],
        timestamp: &request.headers["webhook-timestamp"],
        signature: &request.headers["webhook-signature"],
    };
    verify_webhook(secret, &headers, &request.body, headers.timestamp.parse().unwrap())
}

fn document(request: &ReceivedRequest) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_purchase_arrive_signed_and_are_listed() {
    let app = start().await;
    let merchant = Merchant::sign_in(&app).await;
    let receiver = WebhookReceiver::with_status(204);
    let webhook = create(&merchant, &receiver, &["order.held", "order.confirmed", "payment.captured"]).await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 3})).await;
    let ada = app.register("ada").await;
    let placed = order(&app, &ada, &sale, 2).await.json();
    assert!(pay(&app, &ada, id(&placed), "approve").await.status.is_success());
    eventually("three events arrive", HANG_LIMIT, async || receiver.count_requests() >= 3).await;

    let secret = webhook["secret"].as_str().unwrap();
    let mut by_type = HashMap::new();
    for request in receiver.requests() {
        assert_eq!(verify(&request, secret), Ok(()));
        assert_eq!(request.headers["content-type"], "application/cloudevents+json; charset=utf-8");
        let event = document(&request);
        assert_eq!(event["id"], request.headers["webhook-id"].as_str());
        assert_eq!(
            (&event["specversion"], &event["source"]),
            (&json!("1.0"), &json!("https://shop.example"))
        );
        assert!(event["data"]["buyerEmail"].is_null(), "{event}");
        by_type.insert(event["type"].as_str().unwrap().to_owned(), event);
    }
    let types: HashSet<&str> = by_type.keys().map(String::as_str).collect();
    let expected = ["doorbuster.order.held", "doorbuster.order.confirmed", "doorbuster.payment.captured"];
    assert_eq!(types, expected.into_iter().collect());
    let confirmed = &by_type["doorbuster.order.confirmed"];
    assert_eq!((&confirmed["data"]["orderId"], &confirmed["data"]["quantity"]), (&placed["id"], &json!(2)));

    eventually("all are recorded", HANG_LIMIT, async || {
        let all = deliveries(&merchant, &webhook).await;
        all.len() == 3 && all.iter().all(|delivery| delivery["state"] == "delivered")
    })
    .await;
    let listed = deliveries(&merchant, &webhook).await;
    let listed = listed.iter().find(|delivery| delivery["type"] == "order.confirmed").unwrap();
    assert_eq!((&listed["event"], &listed["tries"]), (confirmed, &json!(1)));
    assert_eq!((&listed["lastStatus"], &listed["nextTryAt"]), (&json!(204), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_gets_what_it_asked_for_from_its_creation_on() {
    let app = start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let [sale, other] = [
        merchant.sale(&json!({"payment": "none", "limitPerBuyer": 5})).await,
        merchant.sale(&json!({"payment": "none"})).await,
    ];
    order(&app, &ada, &sale, 1).await;
    // Longer than the clocks of instances may differ.
    app.shift_clock(60_000);
    let receiver = WebhookReceiver::with_status(200);
    let body = json!({
        "url": receiver.url("/"), "types": ["order.confirmed"], "flashSaleIds": [sale], "includeEmail": true,
    });
    let webhook = merchant.post("/webhooks", &body).await.json();
    assert_eq!((&webhook["flashSaleIds"], &webhook["includeEmail"]), (&json!([sale]), &json!(true)));
    order(&app, &ada, &other, 1).await;
    let mine = order(&app, &ada, &sale, 2).await.json();
    eventually("the event arrives", HANG_LIMIT, async || receiver.count_requests() == 1).await;
    let event = document(&receiver.requests()[0]);
    assert_eq!(event["data"]["orderId"], mine["id"]);
    assert_eq!(event["data"]["buyerEmail"], "ada@example.com");
    let listed = wait_for_delivery(&merchant, &webhook, |delivery| delivery["state"] == "delivered").await;
    assert!(!listed["event"].to_string().contains("ada@example.com"), "the tables have no address: {listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewind_writes_the_deliveries_that_are_missing_and_sends_none_again() {
    let app = start().await;
    let merchant = Merchant::sign_in(&app).await;
    let receiver = WebhookReceiver::with_status(204);
    let webhook = create(&merchant, &receiver, &["order.confirmed"]).await;
    let sale = merchant.sale(&json!({"payment": "none"})).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    assert_eq!(order(&app, &ada, &sale, 1).await.status, StatusCode::CREATED);
    wait_for_delivery(&merchant, &webhook, |delivery| delivery["state"] == "delivered").await;

    let types = json!({"types": ["order.confirmed", "sale.announced"]});
    let edited = merchant.patch(&format!("/webhooks/{}", id(&webhook)), &types).await;
    assert_eq!(edited.status, StatusCode::OK, "{edited:?}");
    let rewind = merchant.post("/followers/webhooks/rewind", &json!({"flashSaleId": sale, "seq": 0})).await;
    assert_eq!(rewind.status, StatusCode::OK, "{rewind:?}");
    // The follower has gone through the first order's events when the second one's arrive.
    assert_eq!(order(&app, &bob, &sale, 1).await.status, StatusCode::CREATED);
    eventually("three deliveries arrive", HANG_LIMIT, async || {
        let all = deliveries(&merchant, &webhook).await;
        all.len() == 3 && all.iter().all(|delivery| delivery["state"] == "delivered")
    })
    .await;
    let all = deliveries(&merchant, &webhook).await;
    let of_type = |name: &str| all.iter().filter(|delivery| delivery["type"] == name).count();
    assert_eq!((of_type("sale.announced"), of_type("order.confirmed")), (1, 2));
    assert!(all.iter().all(|delivery| delivery["tries"] == 1), "none is sent again: {all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_once_and_two_are_valid_during_a_rotation() {
    let app = start().await;
    let merchant = Merchant::sign_in(&app).await;
    let receiver = WebhookReceiver::with_status(200);
    let webhook = create(&merchant, &receiver, &["*"]).await;
    let first = webhook["secret"].as_str().unwrap();
    assert!(first.starts_with("whsec_"), "{webhook}");
    let path = format!("/webhooks/{}", id(&webhook));
    let shown = merchant.get(&path).await;
    assert!(shown["secret"].is_null() && !merchant.get("/webhooks").await.to_string().contains(first));
    let edited = merchant.patch(&path, &json!({"description": "the warehouse"})).await.json();
    assert_eq!((&edited["description"], &edited["secret"]), (&json!("the warehouse"), &Value::Null));

    let rotated = merchant.post(&format!("{path}/rotate-secret"), &json!({})).await.json();
    let second = rotated["secret"].as_str().unwrap();
    assert_ne!(first, second);
    assert!(rotated["previousSecretValidUntil"].is_string(), "{rotated}");
    let sent = merchant.post(&format!("{path}/test"), &json!({})).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED);
    eventually("the test arrives", HANG_LIMIT, async || receiver.count_requests() == 1).await;
    for secret in [first, second] {
        assert_eq!(verify(&receiver.requests()[0], secret), Ok(()));
    }
    app.shift_clock(24 * 3_600_000);
    assert!(merchant.get(&path).await["previousSecretValidUntil"].is_null());
    merchant.post(&format!("{path}/test"), &json!({})).await;
    eventually("the next test arrives", HANG_LIMIT, async || receiver.count_requests() == 2).await;
    let request = &receiver.requests()[1];
    assert_eq!(verify(request, first), Err(VerificationError::Signature));
    assert_eq!(verify(request, second), Ok(()));

    // Each own secret is taken as it is, also without a body's other fields.
    let own = format!("whsec_{}", "A".repeat(32));
    let rotated = merchant.post(&format!("{path}/rotate-secret"), &json!({"secret": own})).await.json();
    assert_eq!(rotated["secret"], own.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_deliveries_are_kept_and_sent_again() {
    let app = start().await;
    let merchant = Merchant::sign_in(&app).await;
    let receiver = WebhookReceiver::start(|_, _| ReceiverAction::Reply {
        status: 500,
        headers: Vec::new(),
        body: "the warehouse burns".repeat(1_000),
    });
    let webhook = create(&merchant, &receiver, &["order.confirmed"]).await;
    let path = format!("/webhooks/{}", id(&webhook));
    let since = merchant.moment(0);
    merchant.post(&format!("{path}/test"), &json!({})).await;
    let delivery = wait_for_delivery(&merchant, &webhook, |delivery| delivery["tries"] == 1).await;
    assert_eq!((&delivery["state"], &delivery["type"]), (&json!("pending"), &json!("webhook.test")));
    assert_eq!(delivery["lastReply"].as_str().unwrap().len(), 4096);
    let (event, shop) = (&delivery["event"], "https://shop.example");
    assert_eq!(
        (&event["type"], &event["data"]["webhookId"]),
        (&json!("doorbuster.webhook.test"), &webhook["id"])
    );
    let schema = event["dataschema"].as_str().and_then(|url| url.strip_prefix(shop)).unwrap();
    let schema = jsonschema::validator_for(&app.get(schema).await.json()).unwrap();
    assert!(schema.is_valid(&event["data"]), "{event}");
    assert!(merchant.get(&path).await["failingSince"].is_string());
    // The schedule, with what chance adds.
    let delays_s = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
    for (tries, delay_s) in (2..).zip(delays_s) {
        app.shift_clock(delay_s * 1_100 + 1_000);
        wait_for_delivery(&merchant, &webhook, |delivery| delivery["tries"] == tries).await;
    }
    let failed = wait_for_delivery(&merchant, &webhook, |delivery| delivery["state"] == "failed").await;
    assert!(failed["nextTryAt"].is_null() && failed["endedAt"].is_string(), "{failed}");
    assert!(merchant.get(&path).await["gaveUpAt"].is_string());
    let disabled = merchant.patch(&path, &json!({"enabled": false})).await.json();
    assert_eq!((&disabled["enabled"], &disabled["disabledReason"]), (&json!(false), &json!("merchant")));
    let resend = format!("{path}/deliveries/{}/resend", id(&failed));
    let refused = merchant.post(&resend, &json!({})).await;
    assert_eq!((refused.status, refused.problem()), (StatusCode::CONFLICT, "webhook_disabled".to_owned()));

    receiver.behave(|_, _| ReceiverAction::status(200));
    let enabled = merchant.patch(&path, &json!({"enabled": true})).await.json();
    assert_eq!((&enabled["enabled"], &enabled["failingSince"]), (&json!(true), &Value::Null));
    let again = merchant.post(&resend, &json!({})).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{again:?}");
    // It may have arrived before the reply was made.
    assert!(["pending", "delivered"].map(|state| json!(state)).contains(&again.json()["state"]), "{again:?}");
    wait_for_delivery(&merchant, &webhook, |delivery| delivery["state"] == "delivered").await;

    let none = merchant.post(&format!("{path}/resend-failed"), &json!({"since": since})).await;
    assert_eq!((none.status, none.json()), (StatusCode::ACCEPTED, json!({"count": 0})));
    for (state, count) in [("delivered", 1), ("failed", 0), ("pending", 0)] {
        let page = merchant.get(&format!("{path}/deliveries?state={state}")).await;
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_failed_since_a_moment_are_sent_again() {
    let app = start().await;
    let merchant = Merchant::sign_in(&app).await;
    // A try that is under way when the tables are changed would record its own outcome afterwards; so the next ones are far off.
    let receiver = WebhookReceiver::start(|_, _| ReceiverAction::Reply {
        status: 500,
        headers: vec![("retry-after", "3600".to_owned())],
        body: String::new(),
    });
    let webhook = create(&merchant, &receiver, &["order.confirmed"]).await;
    let path = format!("/webhooks/{}", id(&webhook));
    for _ in 0..3 {
        merchant.post(&format!("{path}/test"), &json!({})).await;
    }
    // The tables say what a schedule of three days says.
    let all_tried = async || {
        deliveries(&merchant, &webhook).await.iter().all(|delivery| delivery["tries"].as_u64() >= Some(1))
    };
    eventually("all were tried", HANG_LIMIT, all_tried).await;
    let database = app.database().await;
    let now = merchant.now().0;
    let statement = "UPDATE webhook_deliveries SET state = 'failed', next_try_at = NULL, ended_at = $1";
    sqlx::query(statement).bind(now).execute(&database).await.unwrap();
    receiver.behave(|_, _| ReceiverAction::status(200));
    for (since, count) in [(1_000, 0), (0, 3)] {
        let since = server::http::v1::rfc3339(sale::Timestamp(now).plus_ms(since));
        let resent = merchant.post(&format!("{path}/resend-failed"), &json!({"since": since})).await;
        assert_eq!(resent.json(), json!({"count": count}));
    }
    eventually("all arrive", HANG_LIMIT, async || {
        deliveries(&merchant, &webhook).await.iter().all(|delivery| delivery["state"] == "delivered")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_an_endpoint_is_refused_with_its_field() {
    let app = TestApp::start_with(&["--limits", "off", "--public-url", "https://shop.example"]).await;
    let merchant = Merchant::sign_in(&app).await;
    let long = format!("https://203.0.113.7/{}", "a".repeat(2_000));
    let bad_urls = [
        "http://169.254.169.254",
        "https://169.254.169.254/latest",
        "http://203.0.113.7/",
        "https://localhost",
        "https://[::1]",
        "https://127.1",
        "https://0x7f.1",
        "https://10.0.0.1",
        "https://[fd00::1]",
        "https://[::ffff:10.0.0.1]",
        "https://100.64.0.1",
        "https://203.0.113.7:22/",
        "https://203.0.113.7:25/",
        "https://user:password@203.0.113.7/",
        "ftp://203.0.113.7/",
        "no address",
        "",
        &long,
    ];
    for url in bad_urls {
        let reply = merchant.post("/webhooks", &json!({"url": url, "types": ["*"]})).await;
        assert_refused(&reply, "/url", url);
    }
    let url = "https://203.0.113.7/hooks";
    let short = format!("whsec_{}", "A".repeat(28));
    for (body, pointer) in [
        (json!({"types": ["*"]}), "/url"),
        (json!({"url": url}), "/types"),
        (json!({"url": url, "types": []}), "/types"),
        (json!({"url": url, "types": "*"}), "/types"),
        (json!({"url": url, "types": ["order.confirmed", "order.eaten"]}), "/types/1"),
        (json!({"url": url, "types": ["doorbuster.order.confirmed"]}), "/types/0"),
        (json!({"url": url, "types": ["*"], "secret": short}), "/secret"),
        (json!({"url": url, "types": ["*"], "secret": "a secret"}), "/secret"),
        (json!({"url": url, "types": ["*"], "flashSaleIds": ["x"]}), "/flashSaleIds"),
        (
            json!({"url": url, "types": ["*"], "flashSaleIds": ["01890f3a-0000-7000-8000-000000000000"]}),
            "/flashSaleIds/0",
        ),
        (json!({"url": url, "types": ["*"], "includeEmail": 1}), "/includeEmail"),
        (json!({"url": url, "types": ["*"], "description": "a".repeat(501)}), "/description"),
        (json!({"url": url, "types": ["*"], "color": "red"}), "/color"),
    ] {
        assert_refused(&merchant.post("/webhooks", &body).await, pointer, &body.to_string());
    }
    assert_eq!(merchant.get("/webhooks").await["items"], json!([]));

    let international = json!({"url": "https://bücher.example/häken", "types": ["*"]});
    let webhook = merchant.post("/webhooks", &international).await.json();
    assert_eq!(webhook["url"], "https://xn--bcher-kva.example/h%C3%A4ken");
    let path = format!("/webhooks/{}", id(&webhook));
    assert_refused(&merchant.patch(&path, &json!({"url": "https://127.0.0.1"})).await, "/url", "an edit");
    let rotation = merchant.post(&format!("{path}/rotate-secret"), &json!({"secret": short})).await;
    assert_refused(&rotation, "/secret", "a rotation");
    assert_refused(&merchant.post(&format!("{path}/resend-failed"), &json!({})).await, "/since", "no moment");
}

fn assert_refused(reply: &HttpReply, pointer: &str, what: &str) {
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{what}: {reply:?}");
    let errors = reply.json()["errors"].clone();
    assert_eq!(errors[0]["pointer"], pointer, "{what}: {errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_for_admins_and_64_at_most() {
    let app = start().await;
    let merchant = Merchant::sign_in(&app).await;
    let buyer = app.register("ada").await.access;
    let body = json!({"url": "https://203.0.113.7/", "types": ["*"]});
    let refused = app.post_as(&buyer, "/api/v1/admin/webhooks", &body).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(app.get("/api/v1/admin/webhooks").await.status, StatusCode::UNAUTHORIZED);
    let mut first = None;
    for _ in 0..64 {
        let reply = merchant.post("/webhooks", &body).await;
        assert_eq!(reply.status, StatusCode::CREATED);
        first.get_or_insert(reply.json());
    }
    let reply = merchant.post("/webhooks", &body).await;
    assert_eq!((reply.status, reply.problem()), (StatusCode::CONFLICT, "too_many_webhooks".to_owned()));
    let path = format!("/webhooks/{}", id(&first.unwrap()));
    assert_eq!(merchant.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(merchant.get("/webhooks").await["items"].as_array().unwrap().len(), 63);
    for reply in [
        merchant.delete(&path).await,
        merchant.patch(&path, &json!({})).await,
        merchant.post(&format!("{path}/rotate-secret"), &json!({})).await,
        merchant.post(&format!("{path}/test"), &json!({})).await,
        app.get_as(&merchant.token, &format!("/api/v1/admin{path}/deliveries")).await,
    ] {
        assert_eq!((reply.status, reply.problem()), (StatusCode::NOT_FOUND, "webhook_unknown".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_public_address_a_shop_has_no_endpoints() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let body = json!({"url": "https://203.0.113.7/", "types": ["*"]});
    let reply = merchant.post("/webhooks", &body).await;
    assert_eq!((reply.status, reply.problem()), (StatusCode::CONFLICT, "public_url_missing".to_owned()));

    let app = start().await;
    let merchant = Merchant::sign_in(&app).await;
    merchant.post("/webhooks", &body).await;
    let database = app.database_url();
    let folder = app.stop().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--data"]);
    command.arg(folder.path().join("data"));
    if database.starts_with("postgres") {
        command.args(["--database", &database]);
    }
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(printed.contains("--public-url"), "{printed}");
}

/// Leads every name to the public network, and then to this machine.
struct RebindingResolver {
    is_rebound: AtomicBool,
}

impl NameResolver for RebindingResolver {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let text = if self.is_rebound.load(Ordering::SeqCst) { "127.0.0.1" } else { "203.0.113.7" };
        Box::pin(async move { Ok(vec![text.parse().unwrap()]) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_this_machine_the_second_time_is_not_called() {
    let resolver = Arc::new(RebindingResolver { is_rebound: AtomicBool::new(true) });
    let flags = ["--limits", "off", "--public-url", "https://shop.example", "--webhooks-allow-http"];
    let shared = SharedResolver(Arc::clone(&resolver) as Arc<dyn NameResolver>);
    let change = |settings: &mut Serve| settings.webhooks.webhook_resolver = shared;
    let app = TestApp::start_with_settings(&flags, change).await;
    let merchant = Merchant::sign_in(&app).await;
    let receiver = WebhookReceiver::with_status(200);
    let url = format!("http://receiver.example:{}/", receiver.address().port());
    let body = json!({"url": url, "types": ["*"]});
    assert_refused(&merchant.post("/webhooks", &body).await, "/url", "a name that leads to this machine");

    resolver.is_rebound.store(false, Ordering::SeqCst);
    let webhook = merchant.post("/webhooks", &body).await.json();
    resolver.is_rebound.store(true, Ordering::SeqCst);
    merchant.post(&format!("/webhooks/{}/test", id(&webhook)), &json!({})).await;
    let delivery = wait_for_delivery(&merchant, &webhook, |delivery| delivery["tries"] == 1).await;
    assert_eq!(delivery["lastError"], "127.0.0.1 is an internal address and may not be called");
    assert_eq!(receiver.count_connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_at_a_stop_is_sent_after_the_next_start() {
    let app = start().await;
    let merchant = Merchant::sign_in(&app).await;
    let receiver = WebhookReceiver::start(|_, _| ReceiverAction::Stall);
    let webhook = create(&merchant, &receiver, &["order.confirmed"]).await;
    let sale = merchant.sale(&json!({"payment": "none"})).await;
    order(&app, &app.register("ada").await, &sale, 1).await;
    eventually("it is in flight", HANG_LIMIT, async || receiver.count_requests() == 1).await;
    receiver.behave(|_, _| ReceiverAction::status(200));
    let app = app.restart().await;
    let merchant = Merchant::sign_in(&app).await;
    wait_for_delivery(&merchant, &webhook, |delivery| delivery["state"] == "delivered").await;
    let ids: HashSet<String> =
        receiver.requests().iter().map(|request| request.headers["webhook-id"].clone()).collect();
    assert_eq!((ids.len(), receiver.count_requests()), (1, 2), "it was sent again with the same id");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_sends_what_the_first_one_left() {
    let database = PostgresServer::shared().create_database();
    let flags: Vec<&str> = FLAGS.into_iter().chain(["--database", &database]).collect();
    let first = TestApp::start_with(&flags).await;
    let merchant = Merchant::sign_in(&first).await;
    let receiver = WebhookReceiver::with_status(500);
    let webhook = create(&merchant, &receiver, &["order.confirmed"]).await;
    let sale = merchant.sale(&json!({"payment": "none"})).await;
    order(&first, &first.register("ada").await, &sale, 1).await;
    wait_for_delivery(&merchant, &webhook, |delivery| delivery["tries"] == 1).await;

    // A machine that starts slowly may try again before the first one stops.
    receiver.behave(|_, _| ReceiverAction::status(200));
    let second = first.second_instance().await;
    first.stop().await;
    second.shift_clock(6_000);
    let merchant = Merchant::sign_in(&second).await;
    wait_for_delivery(&merchant, &webhook, |delivery| delivery["state"] == "delivered").await;
    assert_eq!(receiver.count_requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_have_metrics() {
    let app = start().await;
    let merchant = Merchant::sign_in(&app).await;
    let receiver = WebhookReceiver::with_status(410);
    let webhook = create(&merchant, &receiver, &["*"]).await;
    merchant.post(&format!("/webhooks/{}/test", id(&webhook)), &json!({})).await;
    app.wait_for_metrics(&[
        "doorbuster_webhook_endpoints_disabled_total 1",
        "doorbuster_webhook_deliveries_total{outcome=\"delivered\"} 0",
        "doorbuster_webhook_deliveries_total{outcome=\"retried\"} 1",
        "doorbuster_webhook_deliveries_total{outcome=\"gave_up\"} 0",
        "doorbuster_webhook_deliveries_in_flight 0",
    ])
    .await;
}
