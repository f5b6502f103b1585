//! The dialect `turnstile`, as the clients of its design use it.

use crate::client::{DialectClient, DialectReply};
use crate::merchant::Merchant;
use crate::real::instance::ServerProcess;
use crate::support::TestApp;
use documents::rfc3339;
use engine::clock::read_wall_clock;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use server::http::dialects::Dialect;
use sqlx::Connection;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use test_servers::postgres::PostgresServer;
use test_servers::redis::RedisServer;
use test_servers::wait::{HANG_LIMIT, eventually, eventually_some};
use uuid::Uuid;

pub const FLAGS: [&str; 4] = ["--dialects", "turnstile=127.0.0.1:0", "--dialect-admin", "open"];
pub const UNLIMITED: [&str; 2] = ["--limits", "off"];
pub const ONE_AN_HOUR: [&str; 2] = ["--limit-turnstile", "1/1h"];

async fn start() -> (TestApp, DialectClient) {
    start_with(&UNLIMITED).await
}

pub async fn start_with(flags: &[&str]) -> (TestApp, DialectClient) {
    let app = TestApp::start_with(&[&FLAGS[..], flags].concat()).await;
    let client = DialectClient::of(&app, Dialect::Turnstile);
    (app, client)
}

/// A sale that began an hour ago, sold at once. Returns its id.
pub async fn open_sale(app: &TestApp, quantity: u32) -> String {
    make_sale(app, &json!({"quantity": quantity})).await
}

/// The same with other fields.
async fn make_sale(app: &TestApp, fields: &Value) -> String {
    let admin = app.admin().await.access;
    let product =
        json!({"name": "Lamp", "description": "A lamp.", "price": {"amount": 4999, "currency": "EUR"}});
    let product = app.post_as(&admin, "/api/v1/admin/products", &product).await.json();
    let mut sale = json!({
        "productId": product["id"], "price": {"amount": 1999, "currency": "EUR"}, "payment": "none",
        "startsAt": moment(-3_600), "endsAt": moment(3_600), "admission": {"type": "open"},
    });
    for (name, value) in fields.as_object().unwrap() {
        sale[name] = value.clone();
    }
    let made = app.post_as(&admin, "/api/v1/admin/flash-sales", &sale).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["id"].as_str().unwrap().to_owned()
}

fn moment(seconds_from_now: i64) -> String {
    rfc3339(read_wall_clock().plus_ms(seconds_from_now * 1_000))
}

pub async fn buy(client: &DialectClient, user: &str, key: &str) -> DialectReply {
    buy_with(client, key, &json!({"userId": user, "productId": "sneaker-001"})).await
}

async fn buy_with(client: &DialectClient, key: &str, body: &Value) -> DialectReply {
    DialectReply::send(client.request(Method::POST, "/buy").header("Idempotency-Key", key).json(body)).await
}

fn new_key() -> String {
    Uuid::new_v4().to_string()
}

pub async fn stock(client: &DialectClient) -> Value {
    client.get("/stock/sneaker-001").await.expect(200)["remainingStock"].clone()
}

pub async fn job(client: &DialectClient, id: &Value) -> Value {
    client.get(&format!("/buy/{}", id.as_str().unwrap())).await.expect(200)
}

/// Sends an admin action of the native API.
async fn act(app: &TestApp, sale: &str, action: &str) {
    let admin = app.admin().await.access;
    let path = format!("/api/v1/admin/flash-sales/{sale}/{action}");
    let done = app.post_as(&admin, &path, &json!({})).await;
    assert_eq!(done.status, 200, "{done:?}");
}

/// Checks the shape of an error, and returns its message.
pub fn error_message(reply: &DialectReply, status: u16) -> String {
    let message = reply.message(status);
    let body = reply.json();
    assert_eq!(body["success"], false, "{body}");
    assert_eq!(body["error"], message.as_str(), "{body}");
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_is_acknowledged_with_its_durable_job() {
    let (app, client) = start().await;
    open_sale(&app, 2).await;
    let bought = buy(&client, "ada", "k-1").await.expect(200);
    assert_eq!((&bought["success"], &bought["acknowledged"]), (&json!(true), &json!(true)));
    assert_eq!(bought["state"], "completed");
    assert!(bought["message"].is_string());
    let id: Uuid = bought["jobId"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 4);

    let shown = job(&client, &bought["jobId"]).await;
    assert_eq!((&shown["jobId"], &shown["name"]), (&bought["jobId"], &json!("purchase-job")));
    assert_eq!((&shown["state"], &shown["orderStatus"]), (&json!("completed"), &json!("COMPLETED")));
    let data = &shown["data"];
    assert_eq!(
        (&data["userId"], &data["productId"], &data["idempotencyKey"]),
        (&json!("ada"), &json!("sneaker-001"), &json!("k-1"))
    );
    assert!(data["timestamp"].as_i64().unwrap() > 1_700_000_000_000, "{shown}");
    assert_eq!(shown["opts"], json!({"attempts": 3, "backoff": 1000}));
    assert_eq!((&shown["attemptsMade"], &shown["remainingStock"]), (&json!(1), &json!(1)));
    assert!(shown["message"].is_string());

    let second = buy(&client, "ada", "k-2").await.expect(200);
    assert_eq!(second["state"], "failed", "the limit of the sale is one");
    assert_eq!(second["code"], "limit_reached");
    let shown = job(&client, &second["jobId"]).await;
    assert_eq!((&shown["state"], &shown["orderStatus"]), (&json!("failed"), &json!("CANCELLED")));
    assert_eq!(buy(&client, "bob", "k-3").await.expect(200)["state"], "completed");
    let late = buy(&client, "eve", "k-4").await.expect(200);
    assert_eq!((&late["success"], &late["state"]), (&json!(true), &json!("failed")), "sold out");
    assert_eq!(stock(&client).await, 0);
    assert_eq!(client.get("/status").await.expect(200), json!({"status": "open"}));

    for unknown in [Uuid::new_v4().to_string(), "none".to_owned()] {
        error_message(&client.get(&format!("/buy/{unknown}")).await, 404);
    }
    let database = app.database().await;
    let names: Vec<String> =
        sqlx::query_scalar("SELECT name FROM guests WHERE origin = 'turnstile' ORDER BY name")
            .fetch_all(&database)
            .await
            .unwrap();
    assert_eq!(names, ["ada", "bob", "eve"], "stored before the answer, also for a failed job");
    database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_once_by_all_buyers_together() {
    let (app, client) = start().await;
    open_sale(&app, 50).await;
    let first = buy(&client, "ada", "the key").await.expect(200);
    let repeated = buy(&client, "ada", "the key").await;
    error_message(&repeated, 409);
    let body = repeated.json();
    assert_eq!((&body["jobId"], &body["state"]), (&first["jobId"], &json!("completed")));
    let other = buy(&client, "bob", "the key").await;
    error_message(&other, 409);
    let body = other.json();
    assert!(body.get("jobId").is_none() && body.get("state").is_none(), "{body}");
    assert_eq!(stock(&client).await, 49);

    let key = new_key();
    let replies = join_all((0..5).map(|_| buy(&client, "carol", &key))).await;
    let winner: Vec<&DialectReply> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(winner.len(), 1, "{replies:?}");
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        error_message(reply, 409);
        assert_eq!(reply.json()["jobId"], winner[0].json()["jobId"]);
    }
    assert_eq!(stock(&client).await, 48);

    // Fifty buyers with one key: one of them buys.
    let key = new_key();
    let users: Vec<String> = (0..50).map(|n| format!("user-{n}")).collect();
    let replies = join_all(users.iter().map(|user| buy(&client, user, &key))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    assert_eq!(replies.iter().filter(|reply| reply.status == 409).count(), 49);
    assert_eq!(stock(&client).await, 47);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_buyers_on_few_units_are_all_acknowledged() {
    let (app, client) = start().await;
    open_sale(&app, 10).await;
    let users: Vec<String> = (0..60).map(|n| format!("user-{n}")).collect();
    let replies = join_all(users.iter().map(async |user| buy(&client, user, &new_key()).await)).await;
    let jobs: Vec<Value> = replies.iter().map(|reply| reply.expect(200)).collect();
    let completed = jobs.iter().filter(|job| job["state"] == "completed").count();
    assert_eq!((completed, jobs.len() - completed), (10, 50));
    let ids: HashSet<&str> = jobs.iter().map(|job| job["jobId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 60);
    assert_eq!(stock(&client).await, 0);
    let database = app.database().await;
    let numbers: Vec<i64> = sqlx::query_scalar("SELECT number FROM turnstile_jobs ORDER BY number")
        .fetch_all(&database)
        .await
        .unwrap();
    assert_eq!(numbers, (1..=60).collect::<Vec<i64>>());
    database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checks_come_in_their_order() {
    let flags = ["--turnstile-products", "red,blue"];
    let (app, client) = start_with(&[flags, ONE_AN_HOUR].concat()).await;
    let wanted = json!({"userId": "ada", "productId": "green"});
    let post = |key: Option<&'static str>, body: Value| {
        let request = client.request(Method::POST, "/api/buy").json(&body);
        DialectReply::send(match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        })
    };
    error_message(&post(None, wanted.clone()).await, 400);
    for bad in ["", " ", "a\tb"] {
        error_message(&post(Some(bad), wanted.clone()).await, 400);
    }
    let message = error_message(&post(Some("k"), wanted).await, 404);
    assert!(message.contains("green"), "{message}");

    let red = json!({"userId": "ada", "productId": "red"});
    assert!(error_message(&post(Some("k"), red.clone()).await, 403).contains("no sale"));
    let sale = open_sale(&app, 10).await;
    act(&app, &sale, "pause").await;
    assert!(error_message(&post(Some("k"), red.clone()).await, 403).contains("paused"));
    act(&app, &sale, "resume").await;
    // What was refused used neither the key nor the limit.
    post(Some("k"), red.clone()).await.expect(200);
    // A used key comes before the limit, the limit before the sale.
    error_message(&post(Some("k"), red.clone()).await, 409);
    act(&app, &sale, "pause").await;
    error_message(&post(Some("k"), red.clone()).await, 409);
    let fast = post(Some("k-2"), red.clone()).await;
    error_message(&fast, 429);
    assert!(fast.header("retry-after").parse::<u32>().unwrap() > 1);
    // Another buyer has a limit of its own.
    let bob = json!({"userId": "bob", "productId": "blue"});
    error_message(&post(Some("k-3"), bob.clone()).await, 403);
    act(&app, &sale, "resume").await;
    post(Some("k-3"), bob).await.expect(200);
    app.shift_clock(3_600_000);
    let over = post(Some("k-2"), red).await;
    assert!(error_message(&over, 403).contains("ended"), "{over:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_of_one_buyer_pass_the_limit_once() {
    let (app, client) = start_with(&ONE_AN_HOUR).await;
    make_sale(&app, &json!({"quantity": 50, "limitPerBuyer": 10})).await;
    let replies = join_all((0..10).map(async |_| buy(&client, "ada", &new_key()).await)).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    assert_eq!(replies.iter().filter(|reply| reply.status == 429).count(), 9);
    assert_eq!(stock(&client).await, 49);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_read_leniently() {
    let (app, client) = start().await;
    make_sale(&app, &json!({"quantity": 50, "limitPerBuyer": 50})).await;
    let send = async |content_type: Option<&str>, body: &str| {
        let request = client.request(Method::POST, "/api/buy").header("Idempotency-Key", new_key());
        let request = request.body(body.to_owned());
        let request = match content_type {
            Some(content_type) => request.header("content-type", content_type),
            None => request,
        };
        let bought = DialectReply::send(request).await.expect(200);
        let data = job(&client, &bought["jobId"]).await["data"].clone();
        (data["userId"].as_str().unwrap().to_owned(), data["productId"].as_str().unwrap().to_owned())
    };
    let pair = |user: &str, product: &str| (user.to_owned(), product.to_owned());
    for (content_type, body, expected) in [
        (None, "", pair("guest", "sneaker-001")),
        (Some("application/json"), "null", pair("guest", "sneaker-001")),
        (Some("application/json"), r#"{"userId": "  ", "quantity": 5}"#, pair("guest", "sneaker-001")),
        (Some("application/json"), r#"{"userId": 7, "productId": 12}"#, pair("7", "12")),
        (Some("text/plain"), r#"{"userId": "ada"}"#, pair("ada", "sneaker-001")),
        (None, "userId=bob&productId=p-1", pair("bob", "p-1")),
        (Some("application/x-www-form-urlencoded"), "userId=a%20b&userId=c%2Fd", pair("c/d", "sneaker-001")),
        (Some("application/json"), r#"{"userId": " 😀% "}"#, pair(" 😀% ", "sneaker-001")),
    ] {
        assert_eq!(send(content_type, body).await, expected, "{body}");
    }
    assert_eq!(stock(&client).await, 42, "a job is one unit");
    let long = "ä".repeat(255);
    buy(&client, &long, &new_key()).await.expect(200);
    error_message(&buy(&client, &"a".repeat(256), &new_key()).await, 400);
    let long = "ä".repeat(255);
    buy_with(&client, &new_key(), &json!({"userId": "long", "productId": long})).await.expect(200);
    for impossible in ["ä".repeat(256), "a\0b".to_owned()] {
        // No product has such an id.
        let body = json!({"userId": "long", "productId": impossible});
        let message = error_message(&buy_with(&client, &new_key(), &body).await, 404);
        assert!(message.contains(impossible.trim_end_matches('ä')) && message.len() < 600, "{message}");
        let path = format!("/stock/{}", impossible.replace('\0', "%00"));
        assert_eq!(client.get(&path).await.expect(200)["remainingStock"], 0);
    }
    for bad in ["{", "[]", "7", r#"{"userId": {}}"#] {
        let request = client.request(Method::POST, "/buy").header("Idempotency-Key", new_key());
        let request = request.header("content-type", "application/json").body(bad);
        error_message(&DialectReply::send(request).await, 400);
    }
    for unknown in ["/nowhere", "/api/nowhere", "/api/api/buy"] {
        error_message(&client.get(unknown).await, 404);
    }
    error_message(&client.get("/buy").await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_exists_bare_and_below_api() {
    for mount in ["turnstile=127.0.0.1:0", "turnstile"] {
        let flags = ["--limits", "off", "--dialects", mount, "--dialect-admin", "open"];
        let app = TestApp::start_with(&flags).await;
        let client = DialectClient::of(&app, Dialect::Turnstile);
        open_sale(&app, 5).await;
        for prefix in ["", "/api"] {
            let at = |path: &str| format!("{prefix}{path}");
            let request = client.request(Method::POST, &at("/buy")).header("Idempotency-Key", new_key());
            let bought =
                DialectReply::send(request.json(&json!({"userId": format!("u{prefix}")}))).await.expect(200);
            client.get(&at(&format!("/buy/{}", bought["jobId"].as_str().unwrap()))).await.expect(200);
            assert_eq!(client.get(&at("/status")).await.expect(200)["status"], "open");
            for path in ["/stock/sneaker-001", "/stock?productId=sneaker-001", "/stock", "/stock/any%2Fid"] {
                let shown = client.get(&at(path)).await.expect(200);
                assert_eq!(shown["success"], true);
                assert!(shown["remainingStock"].is_u64(), "{path}: {shown}");
            }
            let closed = client.post(&at("/admin/sale"), &json!({"status": "closed"})).await.expect(200);
            assert_eq!(closed, json!({"success": true, "status": "closed"}));
            let opened = client.post(&at("/admin/open"), &json!({})).await.expect(200);
            assert_eq!((&opened["success"], &opened["status"]), (&json!(true), &json!("open")));
            let closed = client.post(&at("/admin/close"), &json!({})).await.expect(200);
            assert_eq!((&closed["success"], &closed["status"]), (&json!(true), &json!("closed")));
            let opened = client.post(&at("/admin/sale"), &json!({"status": "open"})).await.expect(200);
            assert_eq!(opened, json!({"success": true, "status": "open"}));
            for path in ["/restock", "/admin/restock"] {
                let restocked = client.post(&at(path), &json!({"amount": 20})).await.expect(200);
                assert_eq!(restocked["remainingStock"], 20, "{restocked}");
            }
            for path in ["/health", "/"] {
                let healthy = client.get(&at(path)).await;
                assert_eq!(healthy.status, 200, "{mount} {prefix}{path}");
                assert!(healthy.header("content-type").starts_with("text/plain"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_is_open_while_the_sale_is_active() {
    let (app, client) = start().await;
    let word = async || client.get("/status").await.expect(200)["status"].as_str().unwrap().to_owned();
    assert_eq!(word().await, "closed");
    assert_eq!(stock(&client).await, 0);
    for path in ["/admin/open", "/admin/sale"] {
        error_message(&client.post(path, &json!({"status": "open"})).await, 409);
    }
    make_sale(&app, &json!({"quantity": 3, "startsAt": moment(600), "endsAt": moment(1_200)})).await;
    assert_eq!(word().await, "closed");
    assert!(error_message(&buy(&client, "ada", "early").await, 403).contains("not started"));
    error_message(&client.post("/admin/open", &json!({})).await, 409);
    error_message(&client.post("/admin/sale", &json!({"status": "open"})).await, 409);
    app.shift_clock(700_000);
    assert_eq!(word().await, "open");
    client.post("/admin/close", &json!({})).await.expect(200);
    client.post("/admin/close", &json!({})).await.expect(200);
    assert_eq!(word().await, "closed");
    client.post("/admin/open", &json!({})).await.expect(200);
    client.post("/admin/open", &json!({})).await.expect(200);
    assert_eq!(word().await, "open");
    buy(&client, "ada", "early").await.expect(200);
    app.shift_clock(600_000);
    assert_eq!(word().await, "closed");
    assert!(error_message(&buy(&client, "bob", "late").await, 403).contains("ended"));
    error_message(&buy(&client, "ada", "early").await, 409);
    error_message(&client.post("/admin/open", &json!({})).await, 409);
    assert_eq!(client.post("/admin/close", &json!({})).await.expect(200)["status"], "closed");
    for bad in [json!({}), json!({"status": "ajar"}), json!({"status": "OPEN"}), json!({"status": null})] {
        error_message(&client.post("/admin/sale", &bad).await, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_ended_in_a_pause_is_not_opened() {
    let (app, client) = start().await;
    make_sale(&app, &json!({"quantity": 3, "endsAt": moment(60)})).await;
    client.post("/admin/close", &json!({})).await.expect(200);
    app.shift_clock(120_000);
    error_message(&client.post("/admin/open", &json!({})).await, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_chosen_sale_is_sold_and_only_at_once() {
    let (app, client) = start_with(&["--turnstile-sale", "the-one", "--limits", "off"]).await;
    open_sale(&app, 5).await;
    assert!(error_message(&buy(&client, "ada", "k").await, 403).contains("no sale"));
    assert_eq!(stock(&client).await, 0);
    let sale = make_sale(&app, &json!({"quantity": 7, "slug": "the-one"})).await;
    buy(&client, "ada", "k").await.expect(200);
    assert_eq!(stock(&client).await, 6);
    let renamed = Merchant::sign_in(&app)
        .await
        .patch(&format!("/flash-sales/{sale}"), &json!({"slug": "renamed"}))
        .await;
    assert_eq!(renamed.status, 200, "{renamed:?}");
    buy(&client, "bob", "k-2").await.expect(200);
    assert_eq!(stock(&client).await, 5, "the setting still names the same sale");

    let (app, client) = start().await;
    make_sale(&app, &json!({"quantity": 5, "payment": "required", "holdSeconds": 60})).await;
    error_message(&buy(&client, "ada", "k").await, 403);
    assert_eq!(client.get("/status").await.expect(200)["status"], "closed");
    error_message(&client.post("/admin/open", &json!({})).await, 409);
    error_message(&client.post("/admin/close", &json!({})).await, 409);
    assert!(error_message(&buy(&client, "ada", "k").await, 403).contains("line or takes payments"));
    let fifo = json!({"type": "fifo", "perSecond": 1, "checkoutSeconds": 60});
    make_sale(&app, &json!({"quantity": 5, "admission": fifo})).await;
    error_message(&buy(&client, "ada", "k").await, 403);
    // The one that was made last is the sale.
    open_sale(&app, 4).await;
    buy(&client, "ada", "k").await.expect(200);
    assert_eq!(stock(&client).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_products_have_no_stock() {
    let (app, client) = start_with(&["--turnstile-products", "red, blue", "--limits", "off"]).await;
    open_sale(&app, 5).await;
    for (path, expected) in [
        ("/stock/red", 5),
        ("/stock/blue", 5),
        ("/stock", 5),
        ("/stock?productId=blue", 5),
        ("/stock/green", 0),
        ("/stock?productId=green", 0),
        ("/stock?productId=", 0),
    ] {
        assert_eq!(client.get(path).await.expect(200)["remainingStock"], expected, "{path}");
    }
    let bought = buy_with(&client, "k", &json!({})).await.expect(200);
    assert_eq!(job(&client, &bought["jobId"]).await["data"]["productId"], "red", "the first of the list");
    error_message(&client.post("/restock", &json!({"productId": "green"})).await, 404);
    let database = app.database().await;
    let kept: Vec<String> =
        sqlx::query_scalar("SELECT product_id FROM turnstile_product_ids ORDER BY position")
            .fetch_all(&database)
            .await
            .unwrap();
    assert_eq!(kept, ["red", "blue"]);
    database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restock_brings_what_remains_up_to_a_number() {
    let (app, client) = start().await;
    error_message(&client.post("/restock", &json!({"amount": 5})).await, 409);
    open_sale(&app, 5).await;
    buy(&client, "ada", "k").await.expect(200);
    let restock =
        async |body: Value| client.post("/restock", &body).await.expect(200)["remainingStock"].clone();
    assert_eq!(restock(json!({"amount": 10})).await, 10);
    assert_eq!(restock(json!({"amount": 10})).await, 10);
    assert_eq!(restock(json!({"amount": 3})).await, 10, "it takes nothing away");
    assert_eq!(restock(json!({"amount": "12", "productId": "sneaker-001"})).await, 12);
    assert_eq!(restock(json!({})).await, 100);
    assert_eq!(restock(json!({"amount": 0})).await, 100);
    for bad in [json!(-1), json!(1.5), json!("many"), json!(true), json!(10_000_001)] {
        error_message(&client.post("/restock", &json!({"amount": bad})).await, 400);
    }
    let replies =
        join_all((0..8).map(async |_| client.post("/restock", &json!({"amount": 150})).await)).await;
    for reply in replies {
        assert_eq!(reply.expect(200)["remainingStock"], 150);
    }
    assert_eq!(stock(&client).await, 150);
    buy(&client, "bob", "k-2").await.expect(200);
    assert_eq!(stock(&client).await, 149);
    app.shift_clock(7_200_000);
    assert_eq!(restock(json!({"amount": 100})).await, 149, "nothing to add");
    error_message(&client.post("/restock", &json!({"amount": 200})).await, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_admin_calls_need_an_admin() {
    let flags = ["--limits", "off", "--dialects", "turnstile=127.0.0.1:0"];
    let app = TestApp::start_with(&flags).await;
    let client = DialectClient::of(&app, Dialect::Turnstile);
    open_sale(&app, 5).await;
    let (admin, buyer) = (app.admin().await.access, app.register("ada").await.access);
    for path in ["/admin/sale", "/admin/open", "/admin/close", "/restock", "/admin/restock", "/api/restock"] {
        let body = json!({"status": "open", "amount": 5});
        error_message(&client.post(path, &body).await, 401);
        error_message(&client.post_as(&buyer, path, &body).await, 401);
        error_message(&client.post_raw(path, Some("application/json"), "{x").await, 401);
        client.post_as(&admin, path, &body).await.expect(200);
        // A doubled scheme is a scheme.
        client.post_as(&format!("Bearer {admin}"), path, &body).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refunded_unit_is_cancelled_and_a_job_outlives_a_restart() {
    let (app, client) = start().await;
    open_sale(&app, 2).await;
    let sold = buy(&client, "ada", "k-1").await.expect(200);
    let failed = buy(&client, "ada", "k-2").await.expect(200);
    let kept = buy(&client, "bob", "k-3").await.expect(200);
    let admin = app.admin().await.access;
    let database = app.database().await;
    let order: String =
        sqlx::query_scalar("SELECT order_id FROM turnstile_jobs WHERE idempotency_key = 'k-1'")
            .fetch_one(&database)
            .await
            .unwrap();
    database.close().await;
    let refund = format!("/api/v1/admin/orders/{order}/refund");
    assert_eq!(app.post_as(&admin, &refund, &json!({"restock": true})).await.status, 200);
    assert_eq!(stock(&client).await, 1);
    let check = async |client: &DialectClient| {
        for (job_id, state, order_status) in [
            (&sold["jobId"], "completed", "CANCELLED"),
            (&failed["jobId"], "failed", "CANCELLED"),
            (&kept["jobId"], "completed", "COMPLETED"),
        ] {
            let shown = job(client, job_id).await;
            assert_eq!((&shown["state"], &shown["orderStatus"]), (&json!(state), &json!(order_status)));
        }
        for (user, key) in [("ada", "k-1"), ("ada", "k-2"), ("bob", "k-3")] {
            error_message(&buy(client, user, key).await, 409);
        }
    };
    check(&client).await;
    let app = app.restart().await;
    let client = DialectClient::of(&app, Dialect::Turnstile);
    check(&client).await;
    assert_eq!(stock(&client).await, 1);
    assert_eq!(buy(&client, "ada", "k-4").await.expect(200)["state"], "completed", "after a refund");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_without_a_row_is_found_by_its_key_also_after_the_end() {
    let (app, client) = start().await;
    open_sale(&app, 5).await;
    let first = buy(&client, "ada", "k-1").await.expect(200);
    buy(&client, "bob", "k-2").await.expect(200);
    // As a crash between the decision and the row leaves it.
    let forget = async |app: &TestApp, key: &str| {
        let database = app.database().await;
        let statement = "DELETE FROM turnstile_jobs WHERE idempotency_key = $1";
        sqlx::query(statement).bind(key.to_owned()).execute(&database).await.unwrap();
        database.close().await;
    };
    forget(&app, "k-1").await;
    forget(&app, "k-2").await;
    let app = app.restart().await;
    let client = DialectClient::of(&app, Dialect::Turnstile);
    let found = buy(&client, "ada", "k-1").await;
    error_message(&found, 409);
    let id = found.json()["jobId"].clone();
    assert_ne!(id, first["jobId"]);
    assert_eq!(job(&client, &id).await["orderStatus"], "COMPLETED");
    app.shift_clock(7_200_000);
    let found = buy(&client, "bob", "k-2").await;
    error_message(&found, 409);
    assert_eq!(found.json()["state"], "completed");
    assert!(error_message(&buy(&client, "bob", "k-9").await, 403).contains("ended"));
    assert_eq!(stock(&client).await, 3);
}

/// `kill -9`, while others wait for its replies.
pub fn kill_now(process: &ServerProcess) {
    let id = process.id().to_string();
    assert!(std::process::Command::new("kill").args(["-KILL", &id]).status().unwrap().success());
}

/// A dialect of a real process.
pub struct TurnstileProcess {
    pub process: ServerProcess,
    http: reqwest::Client,
}

impl TurnstileProcess {
    pub async fn start(flags: &[&str]) -> Self {
        let fixed = ["--limits", "off", "--dialects", "turnstile", "--dialect-admin", "open"];
        let process = ServerProcess::with(&[&fixed[..], flags].concat()).await;
        Self { process, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// A purchase: the status and the body, or nothing when the process died.
    pub async fn buy(&self, user: &str, key: &str) -> Option<(u16, Value)> {
        let url = format!("{}/dialects/turnstile/buy", self.process.url);
        let request = self.http.post(url).header("Idempotency-Key", key).json(&json!({"userId": user}));
        let reply = request.send().await.ok()?;
        let status = reply.status().as_u16();
        Some((status, reply.json().await.ok()?))
    }

    /// The same, repeated as a client does while the shop is too busy to decide.
    async fn buy_until_decided(&self, user: &str, key: &str) -> (u16, Value) {
        eventually_some("the purchase is decided", HANG_LIMIT, async || {
            self.buy(user, key).await.filter(|(status, _)| *status != 503)
        })
        .await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.process.get(&format!("/dialects/turnstile{path}"), None).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_the_decision_and_the_row_loses_nothing() {
    let database = PostgresServer::shared().create_database();
    let mut turnstile = TurnstileProcess::start(&["--database", &database]).await;
    let sale = turnstile.process.sale(5, 0, &json!({"type": "open"})).await;
    turnstile.buy("ada", "first").await.unwrap();
    // The row of the counter is locked, so the decision is recorded and the job is not.
    sqlx::any::install_default_drivers();
    let mut lock = sqlx::AnyConnection::connect(&database).await.unwrap();
    for statement in ["BEGIN", "UPDATE changes SET count = count WHERE name = 'turnstile_jobs'"] {
        sqlx::query(statement).execute(&mut lock).await.unwrap();
    }
    let waiting = turnstile.buy("bob", "second");
    let killing = async {
        turnstile.process.wait_until_sold(&sale, 2).await;
        kill_now(&turnstile.process);
    };
    let (reply, ()) = tokio::join!(waiting, killing);
    assert!(reply.is_none(), "it was not acknowledged: {reply:?}");
    sqlx::query("ROLLBACK").execute(&mut lock).await.unwrap();
    lock.close().await.unwrap();
    turnstile.process.launch().await;
    let (status, body) = turnstile.buy("bob", "second").await.unwrap();
    assert_eq!((status, &body["state"]), (409, &json!("completed")), "{body}");
    let shown = turnstile.get(&format!("/buy/{}", body["jobId"].as_str().unwrap())).await;
    assert_eq!(shown["orderStatus"], "COMPLETED");
    assert_eq!(turnstile.buy("ada", "first").await.unwrap().0, 409);
    assert_eq!(turnstile.get("/stock").await["remainingStock"], 3);
    turnstile.process.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_an_answer_is_tried_again_while_its_request_waits() {
    let database = PostgresServer::shared().create_database();
    let turnstile = TurnstileProcess::start(&["--database", &database]).await;
    turnstile.process.sale(5, 0, &json!({"type": "open"})).await;
    sqlx::any::install_default_drivers();
    let mut lock = sqlx::AnyConnection::connect(&database).await.unwrap();
    // The job cannot be written, and then its key cannot even be looked up.
    let stops =
        ["UPDATE changes SET count = count WHERE name = 'turnstile_jobs'", "LOCK TABLE turnstile_jobs"];
    for (number, stop) in stops.into_iter().enumerate() {
        sqlx::query("BEGIN").execute(&mut lock).await.unwrap();
        sqlx::query(stop).execute(&mut lock).await.unwrap();
        let failures = || turnstile.process.log().matches("writing a batch of rows failed").count();
        let before = failures();
        let unlocking = async {
            eventually("an attempt has failed", HANG_LIMIT, async || failures() > before).await;
            sqlx::query("ROLLBACK").execute(&mut lock).await.unwrap();
        };
        let (key, user) = (format!("key-{number}"), format!("user-{number}"));
        let (reply, ()) = tokio::join!(turnstile.buy(&user, &key), unlocking);
        let (status, job) = reply.unwrap();
        assert_eq!((status, &job["state"]), (200, &json!("completed")), "{stop}: {job}");
        let shown = turnstile.get(&format!("/buy/{}", job["jobId"].as_str().unwrap())).await;
        assert!((2..=3).contains(&shown["attemptsMade"].as_u64().unwrap()), "{stop}: {shown}");
        let left = turnstile.get("/stock").await["remainingStock"].clone();
        assert_eq!(left, 4 - number, "{stop}: one unit for all attempts");
    }
    lock.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_does_not_buy_again_when_another_sale_took_over() {
    let database = PostgresServer::shared().create_database();
    let turnstile = TurnstileProcess::start(&["--database", &database]).await;
    let first = turnstile.process.sale(5, 0, &json!({"type": "open"})).await;
    sqlx::any::install_default_drivers();
    let mut lock = sqlx::AnyConnection::connect(&database).await.unwrap();
    for statement in ["BEGIN", "UPDATE changes SET count = count WHERE name = 'turnstile_jobs'"] {
        sqlx::query(statement).execute(&mut lock).await.unwrap();
    }
    let (status, body) = turnstile.buy("ada", "key").await.unwrap();
    assert_eq!(status, 503, "{body}");
    sqlx::query("ROLLBACK").execute(&mut lock).await.unwrap();
    lock.close().await.unwrap();
    let admin = Some(turnstile.process.admin.as_str());
    let close = format!("/api/v1/admin/flash-sales/{first}/close");
    turnstile.process.post(&close, &json!({}), admin).await;
    turnstile.process.sale(7, 0, &json!({"type": "open"})).await;
    assert_eq!(turnstile.get("/stock").await["remainingStock"], 7);
    let (status, body) = turnstile.buy("ada", "key").await.unwrap();
    assert_eq!((status, &body["state"]), (409, &json!("completed")), "{body}");
    assert_eq!(turnstile.get("/stock").await["remainingStock"], 7, "nothing of the new sale is sold");
    // A key without an order in the old sale is decided by the new one.
    assert_eq!(turnstile.buy("bob", "other").await.unwrap().0, 200);
    assert_eq!(turnstile.get("/stock").await["remainingStock"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_job_outlives_kills_in_the_middle_of_a_sale() {
    const BUYERS: usize = 240;
    let mut turnstile = TurnstileProcess::start(&[]).await;
    turnstile.process.sale(150, 0, &json!({"type": "open"})).await;
    let mut acknowledged: HashMap<usize, Value> = HashMap::new();
    let mut repeated = 0;
    for round in 0..4 {
        let buyers = (round * BUYERS / 4)..((round + 1) * BUYERS / 4);
        let names: Vec<(usize, String)> = buyers.map(|n| (n, format!("user-{n}"))).collect();
        let buying = join_all(names.iter().map(async |(n, name)| (*n, turnstile.buy(name, name).await)));
        let killing = async {
            let sold = 150 - turnstile.get("/stock").await["remainingStock"].as_u64().unwrap();
            // In the middle of the round, or, when it is fast, soon after it.
            let _late = tokio::time::timeout(Duration::from_millis(40), async {
                while 150 - turnstile.get("/stock").await["remainingStock"].as_u64().unwrap() < sold + 8 {}
            })
            .await;
            kill_now(&turnstile.process);
        };
        let (replies, ()) = tokio::join!(buying, killing);
        turnstile.process.launch().await;
        for (n, reply) in replies {
            let name = format!("user-{n}");
            let job = match reply {
                Some((200, job)) => job,
                // Without a reply, or with one that says nothing, it may have taken effect.
                None | Some((503, _)) => {
                    let (status, job) = turnstile.buy_until_decided(&name, &name).await;
                    assert!(status == 200 || status == 409, "{status} {job}");
                    repeated += usize::from(status == 409);
                    job
                }
                Some((status, body)) => panic!("{status} {body}"),
            };
            acknowledged.insert(n, job);
        }
    }
    eprintln!("{repeated} requests had taken effect without a reply");
    let mut completed = 0;
    for (n, job) in &acknowledged {
        let shown = turnstile.get(&format!("/buy/{}", job["jobId"].as_str().unwrap())).await;
        assert_eq!(shown["state"], job["state"], "{shown}");
        completed += usize::from(shown["orderStatus"] == "COMPLETED");
        let name = format!("user-{n}");
        let (status, body) = turnstile.buy_until_decided(&name, &name).await;
        assert_eq!((status, &body["jobId"]), (409, &job["jobId"]));
    }
    assert_eq!((acknowledged.len(), completed), (BUYERS, 150));
    assert_eq!(turnstile.get("/stock").await["remainingStock"], 0);
    turnstile.process.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_an_answer_is_503_and_the_key_stays_unused() {
    let mut postgres = PostgresServer::start();
    let database = postgres.create_database();
    let turnstile = TurnstileProcess::start(&["--database", &database]).await;
    turnstile.process.sale(5, 0, &json!({"type": "open"})).await;
    assert_eq!(turnstile.buy("ada", "first").await.unwrap().0, 200);
    let frozen = postgres.freeze();
    let started = engine::clock::start_stopwatch();
    let (status, body) = turnstile.buy("bob", "second").await.unwrap();
    assert_eq!((status, &body["success"]), (503, &json!(false)), "{body}");
    drop(frozen);
    assert!(started.elapsed() >= Duration::from_secs(3), "three attempts, with pauses of 1 s and 2 s");
    // Decided now, or the first one took effect.
    let mut settled = None;
    eventually("the request is settled", HANG_LIMIT, async || {
        match turnstile.buy("bob", "second").await {
            Some((status @ (200 | 409), body)) => settled = Some((status, body)),
            Some((503, _)) => {}
            other => panic!("{other:?}"),
        }
        settled.is_some()
    })
    .await;
    assert_eq!(settled.unwrap().1["state"], "completed");
    assert_eq!(turnstile.buy("bob", "second").await.unwrap().0, 409);
    assert_eq!(turnstile.get("/stock").await["remainingStock"], 3);
    turnstile.process.verify().await;
    postgres.kill();
}

/// Two instances on one database and one Valkey.
pub struct TwoInstances {
    pub one: TestApp,
    pub clients: [DialectClient; 2],
    _two: TestApp,
    pub valkey: RedisServer,
}

impl TwoInstances {
    pub async fn start(flags: &[&str]) -> Self {
        let (valkey, database) = (RedisServer::start(), PostgresServer::shared().create_database());
        let url = valkey.url();
        let servers = ["--database", database.as_str(), "--valkey", url.as_str()];
        let one = TestApp::start_with(&[&FLAGS[..], &servers, flags].concat()).await;
        let two = one.second_instance().await;
        let clients = [&one, &two].map(|app| DialectClient::of(app, Dialect::Turnstile));
        Self { one, clients, _two: two, valkey }
    }

    /// Makes a sale, and waits until both sell it.
    pub async fn open_sale(&self, quantity: u32) {
        open_sale(&self.one, quantity).await;
        for client in &self.clients {
            eventually("the sale is known", HANG_LIMIT, async || stock(client).await == quantity).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_share_keys_jobs_and_units() {
    let shop = TwoInstances::start(&UNLIMITED).await;
    let [one, two] = &shop.clients;
    shop.open_sale(40).await;
    let sold = buy(one, "ada", "k").await.expect(200);
    let repeated = buy(two, "ada", "k").await;
    error_message(&repeated, 409);
    assert_eq!(repeated.json()["jobId"], sold["jobId"]);
    assert!(buy(two, "bob", "k").await.expect(409).get("jobId").is_none());
    assert_eq!(job(two, &sold["jobId"]).await["orderStatus"], "COMPLETED");

    assert_eq!(stock(two).await, 39, "what the other instance has answered");
    for round in 0..10 {
        let (user, key) = (format!("same-{round}"), new_key());
        let replies = join_all((0..6).map(|n| buy(&shop.clients[n % 2], &user, &key))).await;
        let statuses: Vec<u16> = replies.iter().map(|reply| reply.status.as_u16()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 5, "{statuses:?}");
        for client in &shop.clients {
            assert_eq!(stock(client).await, 38 - round, "of each sale, at both");
        }
    }
    // One key for two buyers at two instances: one unit in the end.
    for round in 0..10 {
        let (users, key) = ([0, 1].map(|n| format!("other-{round}-{n}")), new_key());
        let replies = join_all((0..2).map(|n| buy(&shop.clients[n], &users[n], &key))).await;
        let mut statuses = [replies[0].status.as_u16(), replies[1].status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }
    for client in &shop.clients {
        eventually("what remains", HANG_LIMIT, async || stock(client).await == 19).await;
    }
    let users: Vec<String> = (0..50).map(|n| format!("user-{n}")).collect();
    let buying = users.iter().enumerate();
    let replies =
        join_all(buying.map(async |(n, user)| buy(&shop.clients[n % 2], user, &new_key()).await)).await;
    let completed = replies.iter().filter(|reply| reply.expect(200)["state"] == "completed").count();
    assert_eq!(completed, 19);

    let restocks = join_all((0..6).map(|n| shop_restock(&shop.clients[n % 2], 25))).await;
    assert_eq!(restocks, [25; 6]);
    for client in &shop.clients {
        assert_eq!(stock(client).await, 25, "both know it");
    }
    one.post("/admin/close", &json!({})).await.expect(200);
    assert_eq!(two.get("/status").await.expect(200)["status"], "closed");
    let database = shop.one.database().await;
    let numbers: Vec<i64> = sqlx::query_scalar("SELECT number FROM turnstile_jobs ORDER BY number")
        .fetch_all(&database)
        .await
        .unwrap();
    assert_eq!(numbers, (1..=71).collect::<Vec<i64>>());
    database.close().await;
}

async fn shop_restock(client: &DialectClient, amount: u32) -> u64 {
    let restocked = client.post("/restock", &json!({"amount": amount})).await.expect(200);
    restocked["remainingStock"].as_u64().unwrap()
}

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// A socket in a buyer's room, by long polling, and the events that it has received.
pub struct RoomSocket {
    client: DialectClient,
    session: String,
    events: Vec<(String, Value)>,
}

impl RoomSocket {
    pub async fn join(client: &DialectClient, user: &str) -> Self {
        Self::join_all(client, &[user]).await
    }

    /// In the rooms of several buyers. All joins come in one request, whose reply comes when they are done.
    pub async fn join_all(client: &DialectClient, users: &[&str]) -> Self {
        let opened = client.get(POLLING).await;
        let packet: Value = serde_json::from_slice(opened.body.strip_prefix(b"0").unwrap()).unwrap();
        let session = packet["sid"].as_str().unwrap().to_owned();
        let mut socket = Self { client: client.clone(), session, events: Vec::new() };
        socket.send("40").await;
        // Telemetry comes to connected sockets, so it is connected then.
        socket.wait_for("system-telemetry", |_| true).await;
        let joins: Vec<String> = users.iter().map(|user| format!("42{}", json!(["join", user]))).collect();
        socket.send(&joins.join("\u{1e}")).await;
        socket.events.clear();
        socket
    }

    fn path(&self) -> String {
        format!("{POLLING}&sid={}", self.session)
    }

    async fn send(&self, message: &str) {
        let sent = self.client.post_raw(&self.path(), None, message).await;
        assert_eq!(sent.status, 200, "{sent:?}");
    }

    async fn poll(&mut self) {
        let polled = self.client.get(&self.path()).await;
        assert_eq!(polled.status, 200, "{polled:?}");
        for message in String::from_utf8(polled.body).unwrap().split('\u{1e}') {
            if message == "2" {
                self.send("3").await;
            } else if let Some(event) = message.strip_prefix("42") {
                let (name, document): (String, Value) = serde_json::from_str(event).unwrap();
                self.events.push((name, document));
            }
        }
    }

    /// Waits for an event, at most as long as a test may hang.
    pub async fn wait_for(&mut self, name: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                let event = self.events.iter().find(|(known, document)| known == name && matches(document));
                if let Some((_, document)) = event {
                    return document.clone();
                }
                self.poll().await;
            }
        };
        tokio::time::timeout(HANG_LIMIT, found).await.unwrap_or_else(|_| panic!("no {name}"))
    }

    pub fn count(&self, name: &str) -> usize {
        self.events.iter().filter(|(known, _)| known == name).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_stock_and_status_reach_sockets_at_the_other_instance() {
    let shop = TwoInstances::start(&UNLIMITED).await;
    let [one, two] = &shop.clients;
    shop.open_sale(2).await;
    let mut ada = RoomSocket::join(two, "ada").await;
    let mut eve = RoomSocket::join(two, "eve").await;
    let sold = buy(one, "ada", &new_key()).await.expect(200);
    let confirmed = ada.wait_for("order_confirmed", |_| true).await;
    assert_eq!((&confirmed["jobId"], &confirmed["success"]), (&sold["jobId"], &json!(true)));
    assert_eq!((&confirmed["productId"], &confirmed["remainingStock"]), (&json!("sneaker-001"), &json!(1)));
    buy(one, "bob", &new_key()).await.expect(200);
    for socket in [&mut ada, &mut eve] {
        socket.wait_for("stock-update", |update| update["stock"] == 0).await;
    }
    let lost = buy(one, "eve", &new_key()).await.expect(200);
    assert_eq!(lost["state"], "failed");
    let failed = eve.wait_for("order_failed", |_| true).await;
    assert_eq!((&failed["jobId"], &failed["success"]), (&lost["jobId"], &json!(false)));
    one.post("/admin/close", &json!({})).await.expect(200);
    for socket in [&mut ada, &mut eve] {
        socket.wait_for("sale-status-change", |change| change["status"] == "closed").await;
    }
    assert_eq!((ada.count("order_confirmed"), ada.count("order_failed")), (1, 0));
    assert_eq!((eve.count("order_confirmed"), eve.count("order_failed")), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_share_the_limit_and_a_refused_request_does_not_count() {
    let shop = TwoInstances::start(&ONE_AN_HOUR).await;
    let [one, two] = &shop.clients;
    shop.open_sale(40).await;
    one.post("/admin/close", &json!({})).await.expect(200);
    eventually("closed at both", HANG_LIMIT, async || {
        two.get("/status").await.expect(200)["status"] == "closed"
    })
    .await;
    for client in &shop.clients {
        error_message(&buy(client, "ada", &new_key()).await, 403);
    }
    two.post("/admin/open", &json!({})).await.expect(200);
    eventually("open at both", HANG_LIMIT, async || one.get("/status").await.expect(200)["status"] == "open")
        .await;
    buy(one, "ada", "k").await.expect(200);
    error_message(&buy(two, "ada", &new_key()).await, 429);
    error_message(&buy(two, "ada", "k").await, 409);
    let key = new_key();
    let replies = join_all((0..6).map(|n| buy(&shop.clients[n % 2], "bob", &key))).await;
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409], "a used key comes before the limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_32_rooms_of_a_socket_are_joined_in_order_and_hear_of_the_next_job() {
    const ROOMS: usize = 32;
    let (app, client) = start().await;
    for round in 0..4 {
        open_sale(&app, 200).await;
        let users: Vec<String> = (0..=ROOMS).map(|n| format!("user-{round}-{n}")).collect();
        let twice: Vec<&str> = users.iter().chain(&users).map(String::as_str).collect();
        let mut socket = RoomSocket::join_all(&client, &twice).await;
        let beyond = buy(&client, &users[ROOMS], &new_key()).await.expect(200);
        for user in &users[..ROOMS] {
            let sold = buy(&client, user, &new_key()).await.expect(200);
            socket.wait_for("order_confirmed", |event| event["jobId"] == sold["jobId"]).await;
        }
        assert_eq!(socket.count("order_confirmed"), ROOMS);
        assert!(socket.events.iter().all(|(_, event)| event["jobId"] != beyond["jobId"]), "the 33rd room");
    }
}
