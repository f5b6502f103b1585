//! The dialect `attempts`, as the clients of its design use it.

use crate::client::{DialectClient, DialectReply};
use crate::merchant::{Merchant, join_line, order, pay};
use crate::support::{PASSWORD, SignedInUser, TestApp};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use server::http::dialects::Dialect;
use std::process::Command;
use test_servers::postgres::PostgresServer;
use test_servers::redis::RedisServer;

const FLAGS: [&str; 4] = ["--limits", "off", "--dialects", "attempts=127.0.0.1:0"];

async fn start() -> (TestApp, DialectClient) {
    let app = TestApp::start_with(&FLAGS).await;
    let client = DialectClient::of(&app, Dialect::Attempts);
    (app, client)
}

/// A sale that sells at once.
async fn sale_at_once(merchant: &Merchant<'_>, more: Value) -> String {
    let mut body = json!({"payment": "none", "limitPerBuyer": 1});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    merchant.sale(&body).await
}

/// Registers at the dialect and signs in there: the token and the integer id.
async fn sign_in(client: &DialectClient, username: &str) -> (String, String) {
    let body =
        json!({"username": username, "email": format!("{username}@example.com"), "password": "secret"});
    client.post("/api/auth/register", &body).await.expect(201);
    let login = json!({"username": username, "password": "secret"});
    let data = client.post("/api/auth/login", &login).await.expect(200)["data"].clone();
    (data["token"].as_str().unwrap().to_owned(), data["userId"].as_str().unwrap().to_owned())
}

async fn attempt(client: &DialectClient, token: &str, sale: impl std::fmt::Display) -> DialectReply {
    let path = format!("/api/flash-sale/attempt/{sale}");
    DialectReply::send(client.request(Method::POST, &path).bearer_auth(token)).await
}

async fn order_status(client: &DialectClient, token: &str, product: impl std::fmt::Display) -> Value {
    let path = format!("/api/orders/status/{product}");
    let document = client.get_as(token, &path).await.expect(200);
    document["data"]["status"].clone()
}

/// Success with the fields of `data` beside it.
fn assert_success(document: &Value) -> &Value {
    assert_eq!(document["success"], true, "{document}");
    let data = &document["data"];
    for (name, value) in data.as_object().unwrap() {
        assert_eq!(&document[name], value, "{document}");
    }
    data
}

fn assert_error(document: &Value, error: &str, part: &str) {
    assert_eq!((&document["success"], &document["error"]), (&json!(false), &json!(error)), "{document}");
    assert!(document["message"].as_str().unwrap().contains(part), "{part}: {document}");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_made_and_signed_in() {
    let (app, client) = start().await;
    let body = json!({
        "username": "ada", "email": "ada@example.com", "password": "secret", "fullName": "Ada Lovelace", "more": [],
    });
    let made = client.post("/api/auth/register", &body).await.expect(201);
    let data = assert_success(&made);
    // The admin has the first id.
    let expected =
        json!({"userId": "2", "username": "ada", "email": "ada@example.com", "fullName": "Ada Lovelace"});
    assert_eq!(data, &expected);
    let form = Some("application/x-www-form-urlencoded");
    let registration = "username=bob&email=bob%40example.com&password=123456";
    let bob = client.post_raw("/api/auth/register", form, registration).await.expect(201);
    assert_eq!(bob["userId"], "3");
    assert!(!bob["data"].as_object().unwrap().contains_key("fullName"), "{bob}");

    let taken = json!({"username": "ADA", "email": "other@example.com", "password": "secret"});
    let refused = client.post("/api/auth/register", &taken).await.expect(409);
    assert_error(&refused, "Conflict", "Username already exists");
    let taken = json!({"username": "other", "email": "Ada@Example.com", "password": "secret"});
    let refused = client.post("/api/auth/register", &taken).await.expect(409);
    assert_error(&refused, "Conflict", "Email already exists");

    let whole = json!({"username": "eve", "email": "eve@example.com", "password": "secret"});
    for (field, wrong) in [
        ("username", Value::Null),
        ("email", Value::Null),
        ("password", Value::Null),
        ("username", json!("")),
        ("username", json!("ev")),
        ("username", json!("e".repeat(33))),
        ("username", json!("eve adams")),
        ("email", json!("eve")),
        ("password", json!("12345")),
        ("password", json!("p".repeat(257))),
        ("fullName", json!("f".repeat(201))),
        ("fullName", json!({"first": "Eve"})),
    ] {
        let mut body = whole.clone();
        body[field] = wrong;
        let refused = client.post("/api/auth/register", &body).await.expect(400);
        assert_error(&refused, "Validation error", field);
    }
    assert_error(&client.post_raw("/api/auth/register", None, "{").await.expect(400), "Validation error", "");
    let number = json!({"username": 12345, "email": "n@example.com", "password": 1_234_567});
    assert_eq!(client.post("/api/auth/register", &number).await.expect(201)["username"], "12345");

    let login = json!({"username": "Ada", "password": "secret"});
    let signed_in = client.post("/api/auth/login", &login).await.expect(200);
    let data = assert_success(&signed_in);
    assert_eq!(data["userId"], "2");
    let token = data["token"].as_str().unwrap();
    assert_eq!(app.get_as(token, "/api/v1/auth/me").await.json()["username"], "ada", "the token is native");
    for (body, status, error, part) in [
        (json!({"username": "ada"}), 400, "Validation error", "password"),
        (json!({"password": "secret"}), 400, "Validation error", "username"),
        (json!({"username": "ada", "password": "wrong"}), 401, "Unauthorized", "Invalid credentials"),
        (json!({"username": "nobody", "password": "secret"}), 401, "Unauthorized", "Invalid credentials"),
        (json!({"username": "a b", "password": "secret"}), 401, "Unauthorized", "Invalid credentials"),
    ] {
        assert_error(&client.post("/api/auth/login", &body).await.expect(status), error, part);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_valid_in_both_apis() {
    let (app, client) = start().await;
    sign_in(&client, "ada").await;
    let native = json!({"username": "ada", "password": "secret"});
    assert_eq!(app.post("/api/v1/auth/login", &native).await.status, 200, "also with a short password");
    let blanks = json!({"username": "blank", "email": "blank@example.com", "password": "        "});
    client.post("/api/auth/register", &blanks).await.expect(201);
    client.post("/api/auth/login", &blanks).await.expect(200);
    let short = json!({"email": "eve@example.com", "username": "eve", "password": "secret"});
    assert_eq!(app.post("/api/v1/auth/register", &short).await.problem(), "invalid_body", "natively 8");
    let bob = app.register("bob").await;
    let login = json!({"username": "bob", "password": PASSWORD});
    client.post("/api/auth/login", &login).await.expect(200);
    client.get_as(&bob.access, "/api/flash-sale/status").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_buyer_needs_a_valid_token() {
    let (_app, client) = start().await;
    for (method, path) in [
        (Method::GET, "/api/flash-sale/status"),
        (Method::POST, "/api/flash-sale/attempt/1"),
        (Method::POST, "/api/flash-sale/attempt/x"),
        (Method::GET, "/api/orders/status/1"),
    ] {
        let none = DialectReply::send(client.request(method.clone(), path)).await;
        assert_error(&none.expect(401), "Unauthorized", "No token");
        for scheme in ["Bearer", "bearer ", "Bearer Bearer"] {
            let request = client.request(method.clone(), path).header("authorization", scheme);
            let none = DialectReply::send(request).await;
            assert_error(&none.expect(401), "Unauthorized", "No token");
        }
        for token in ["wrong", "a.b.c"] {
            let request = client.request(method.clone(), path).bearer_auth(token);
            let refused = DialectReply::send(request).await;
            assert_error(&refused.expect(401), "Unauthorized", "Invalid or expired token");
        }
    }
    assert_error(&client.get("/api/v1/auth/me").await.expect(404), "Not found", "");
    assert_error(&client.post("/health", &json!({})).await.expect(404), "Not found", "");
    let large = format!("{{\"username\": \"{}\"}}", "a".repeat(70_000));
    let refused = client.post_raw("/api/auth/login", None, &large).await.expect(413);
    assert_error(&refused, "Payload too large", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_that_of_the_active_or_the_newest_sale() {
    let (app, client) = start().await;
    let (token, _) = sign_in(&client, "ada").await;
    let status = async || client.get_as(&token, "/api/flash-sale/status").await.expect(200);
    let nothing = status().await;
    let data = assert_success(&nothing).as_object().unwrap();
    assert_eq!(data["status"], "ENDED");
    assert!(data["startTime"] == data["endTime"] && data["endTime"] == data["currentTime"], "{nothing}");
    assert_eq!(data.len(), 4, "{nothing}");

    let merchant = Merchant::sign_in(&app).await;
    let first = sale_at_once(&merchant, json!({"quantity": 1})).await;
    let shown = status().await;
    let data = assert_success(&shown);
    assert_eq!((&data["id"], &data["productId"]), (&json!(1), &json!(1)));
    assert_eq!((&data["status"], &data["productName"]), (&json!("ACTIVE"), &json!("A thing")));
    assert_eq!(data["productDescription"], "");
    for name in ["startTime", "endTime", "currentTime"] {
        let moment = data[name].as_str().unwrap();
        assert!(moment.len() == 24 && moment.ends_with('Z'), "{name}: {shown}");
    }
    assert_eq!(attempt(&client, &token, 1).await.status, 200);
    assert_eq!(status().await["status"], "ACTIVE", "also when every unit is sold");
    merchant.post(&format!("/flash-sales/{first}/pause"), &json!({})).await;
    assert_eq!(status().await["status"], "ACTIVE", "a paused sale goes by its times");

    let far = json!({"startsAt": "2099-01-01T00:00:00Z", "endsAt": "2099-01-02T00:00:00Z"});
    sale_at_once(&merchant, far.clone()).await;
    let shown = status().await;
    assert_eq!((&shown["id"], &shown["status"]), (&json!(2), &json!("UPCOMING")), "none is active");
    merchant.post(&format!("/flash-sales/{first}/resume"), &json!({})).await;
    assert_eq!(status().await["id"], 1, "the active one");
    let newer = sale_at_once(&merchant, json!({})).await;
    assert_eq!(status().await["id"], 3, "of several active ones the newest");
    for sale in [&first, &newer] {
        merchant.post(&format!("/flash-sales/{sale}/close"), &json!({})).await;
    }
    assert_eq!(status().await["id"], 3, "the one that was made last");
    assert_eq!(status().await["status"], "ENDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_accepted_once_and_stays_accepted() {
    let (app, client) = start().await;
    let merchant = Merchant::sign_in(&app).await;
    // One unit for each account, whatever the sale allows.
    let sale = sale_at_once(&merchant, json!({"quantity": 2, "limitPerBuyer": 5})).await;
    let (ada, ada_id) = sign_in(&client, "ada").await;
    let (bob, _) = sign_in(&client, "bob").await;
    let (eve, eve_id) = sign_in(&client, "eve").await;
    let before = client.get_as(&ada, "/api/orders/status/1").await.expect(200);
    assert_eq!(assert_success(&before), &json!({"productId": 1, "userId": ada_id, "status": "PENDING"}));

    let won = attempt(&client, &ada, 1).await.expect(200);
    assert_eq!(won["success"], true);
    assert!(won["message"].as_str().unwrap().contains("received"), "{won}");
    assert_eq!(order_status(&client, &ada, 1).await, "SUCCESS");
    let again = client.post_as(&ada, "/api/flash-sale/attempt/1", &json!({})).await.expect(200);
    for bad in ["0", "-1", "abc", "%zz", "%ff"] {
        let refused =
            client.post_as(&ada, &format!("/api/flash-sale/attempt/{bad}"), &json!({})).await.expect(400);
        assert_eq!(refused["error"], "Validation error", "{bad}");
    }
    assert!(again["message"].as_str().unwrap().contains("received"), "{again}");
    assert_eq!(app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["sold"], 1);

    assert_eq!(attempt(&client, &bob, 1).await.status, 200);
    let lost = attempt(&client, &eve, 1).await.expect(400);
    assert_error(&lost, "Validation error", "stock");
    assert_eq!(lost["code"], "sold_out");
    let after = client.get_as(&eve, "/api/orders/status/1").await.expect(200);
    assert_eq!(assert_success(&after), &json!({"productId": 1, "userId": eve_id, "status": "FAILED"}));
    assert_eq!(attempt(&client, &ada, 1).await.status, 200, "a winner's repeat");
    assert_eq!(attempt(&client, &eve, 1).await.status, 400, "a loser's repeat");

    // A loser is decided again when a unit is free.
    merchant.post(&format!("/flash-sales/{sale}/restock"), &json!({"quantity": 1})).await;
    assert_eq!(attempt(&client, &eve, 1).await.status, 200);
    assert_eq!(order_status(&client, &eve, 1).await, "SUCCESS");
    merchant.post(&format!("/flash-sales/{sale}/close"), &json!({})).await;
    assert_eq!(attempt(&client, &ada, 1).await.status, 200, "also after the end");
    assert_eq!(order_status(&client, &ada, 1).await, "SUCCESS");
    let (late, _) = sign_in(&client, "late").await;
    assert_error(&attempt(&client, &late, 1).await.expect(400), "Validation error", "ended");
    assert_eq!(order_status(&client, &late, 1).await, "PENDING");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_refused_with_its_reason() {
    let (app, client) = start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (token, _) = sign_in(&client, "ada").await;
    let far = json!({"startsAt": "2099-01-01T00:00:00Z", "endsAt": "2099-01-02T00:00:00Z"});
    sale_at_once(&merchant, far).await;
    let early = attempt(&client, &token, 1).await.expect(400);
    assert_error(&early, "Validation error", "not yet active");
    assert_error(&early, "Validation error", "2099-01-01T00:00:00.000Z");
    let paused = sale_at_once(&merchant, json!({})).await;
    merchant.post(&format!("/flash-sales/{paused}/pause"), &json!({})).await;
    assert_error(&attempt(&client, &token, 2).await.expect(400), "Validation error", "paused");
    let line = json!({"admission": {"type": "fifo", "perSecond": 1, "checkoutSeconds": 60}});
    sale_at_once(&merchant, line).await;
    assert_error(&attempt(&client, &token, 3).await.expect(400), "Validation error", "line");
    assert_error(&attempt(&client, &token, 4).await.expect(400), "Validation error", "not found");
    let ends = app.get(&format!("/api/v1/flash-sales/{paused}")).await.json()["endsAt"].clone();
    app.shift_clock(40 * 86_400_000);
    let (token, _) = sign_in(&client, "bob").await;
    let over = attempt(&client, &token, 2).await.expect(400);
    assert_error(&over, "Validation error", "ended");
    assert_error(&over, "Validation error", ends.as_str().unwrap());

    for wrong in ["0", "-1", "1.5", "abc", "1a", "%20", "9999999999999999999999"] {
        assert_error(
            &attempt(&client, &token, wrong).await.expect(400),
            "Validation error",
            "positive integer",
        );
        let read = client.get_as(&token, &format!("/api/orders/status/{wrong}")).await;
        assert_error(&read.expect(400), "Validation error", "positive integer");
    }
    for body in ["[1]", "{", "7"] {
        let request = client.request(Method::POST, "/api/flash-sale/attempt/1").bearer_auth(&token);
        let request = request.header("content-type", "application/json").body(body);
        assert_error(&DialectReply::send(request).await.expect(400), "Validation error", "");
    }
    assert_eq!(order_status(&client, &token, 77).await, "PENDING", "an unknown product");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_follows_the_order() {
    let (app, client) = start().await;
    let merchant = Merchant::sign_in(&app).await;
    merchant.sale(&json!({"quantity": 1, "holdSeconds": 60})).await;
    let (ada, _) = sign_in(&client, "ada").await;
    let (bob, _) = sign_in(&client, "bob").await;
    assert_eq!(attempt(&client, &ada, 1).await.status, 200);
    assert_eq!(order_status(&client, &ada, 1).await, "PENDING", "it is not paid");
    assert_eq!(attempt(&client, &ada, 1).await.status, 200);
    let held = attempt(&client, &bob, 1).await.expect(400);
    assert_error(&held, "Validation error", "stock");
    assert_eq!(order_status(&client, &bob, 1).await, "PENDING", "the unit may come back");
    app.shift_clock(61_000);
    test_servers::wait::eventually("the hold expires", test_servers::wait::HANG_LIMIT, async || {
        order_status(&client, &ada, 1).await == "FAILED"
    })
    .await;
    assert_eq!(attempt(&client, &ada, 1).await.status, 200, "an ended order does not count");
    assert_eq!(order_status(&client, &ada, 1).await, "PENDING");
    let mine = app.get_as(&ada, "/api/v1/orders").await.json();
    let held = mine["items"].as_array().unwrap().iter().find(|order| order["status"] == "pending").unwrap();
    let buyer = SignedInUser { id: String::new(), access: ada.clone(), refresh: String::new() };
    let id = held["id"].as_str().unwrap();
    assert_eq!(pay(&app, &buyer, id, "approve").await.status, 200);
    assert_eq!(order_status(&client, &ada, 1).await, "SUCCESS");
    let refund = merchant.post(&format!("/orders/{id}/refund"), &json!({"restock": false})).await;
    assert_eq!(refund.status, 200, "{refund:?}");
    assert_eq!(order_status(&client, &ada, 1).await, "FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_order_counts_and_an_admitted_buyer_attempts() {
    let (app, client) = start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = sale_at_once(&merchant, json!({"quantity": 5, "limitPerBuyer": 3})).await;
    let ada = app.register("ada").await;
    assert_eq!(order(&app, &ada, &sale, 1).await.status, 201);
    assert_eq!(attempt(&client, &ada.access, 1).await.status, 200);
    assert_eq!(app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["sold"], 1);
    assert_eq!(order_status(&client, &ada.access, 1).await, "SUCCESS");
    let fifo = json!({"admission": {"type": "fifo", "perSecond": 100, "checkoutSeconds": 600}});
    let line = sale_at_once(&merchant, fifo).await;
    assert_eq!(join_line(&app, &ada, &line).await.status, 201);
    crate::merchant::wait_until_admitted(&app, &ada, &line).await;
    assert_eq!(attempt(&client, &ada.access, 2).await.status, 200);
    assert_eq!(order_status(&client, &ada.access, 2).await, "SUCCESS");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_attempts_of_one_buyer_sell_one_unit_and_all_succeed() {
    let (app, client) = start().await;
    let sale =
        sale_at_once(&Merchant::sign_in(&app).await, json!({"quantity": 10, "limitPerBuyer": 10})).await;
    let (ada, _) = sign_in(&client, "ada").await;
    let replies = join_all((0..10).map(|_| attempt(&client, &ada, 1))).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    assert_eq!(app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["sold"], 1);
    verify(&app);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_buyers_as_many_win_as_there_are_units() {
    let (app, client) = start().await;
    let sale = sale_at_once(&Merchant::sign_in(&app).await, json!({"quantity": 7})).await;
    let mut buyers = Vec::new();
    for number in 0..25 {
        buyers.push(app.register(&format!("buyer-{number}")).await.access);
    }
    let replies = join_all(buyers.iter().map(|token| attempt(&client, token, 1))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 7);
    for (reply, token) in replies.iter().zip(&buyers) {
        let expected = if reply.status == 200 { "SUCCESS" } else { "FAILED" };
        if reply.status != 200 {
            assert!(reply.message(400).contains("stock"));
        }
        assert_eq!(order_status(&client, token, 1).await, expected);
    }
    assert_eq!(app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["sold"], 7);
    verify(&app);
}

/// Checks every promise from the shop's ledger.
fn verify(app: &TestApp) {
    let url = app.database_url();
    let data = app.data();
    let source =
        if url.starts_with("postgres") { ["--database", &url] } else { ["--data", data.to_str().unwrap()] };
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    let output = command.arg("verify").args(source).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_stay_over_a_restart_and_are_shared_by_instances() {
    let database = PostgresServer::shared().create_database();
    let flags = ["--limits", "off", "--dialects", "attempts", "--database", &database];
    let one = TestApp::start_with(&flags).await;
    let client = DialectClient::of(&one, Dialect::Attempts);
    sale_at_once(&Merchant::sign_in(&one).await, json!({"quantity": 1})).await;
    let (ada, ada_id) = sign_in(&client, "ada").await;
    let (bob, _) = sign_in(&client, "bob").await;
    assert_eq!(attempt(&client, &ada, 1).await.status, 200);
    assert_eq!(attempt(&client, &bob, 1).await.status, 400);
    // Where one instance decides, the second one does from now on.
    let two = one.second_instance().await;
    let other = DialectClient::of(&two, Dialect::Attempts);
    let shown = other.get_as(&ada, "/api/flash-sale/status").await.expect(200);
    assert_eq!((&shown["id"], &shown["productId"]), (&json!(1), &json!(1)));
    let status = other.get_as(&ada, "/api/orders/status/1").await.expect(200);
    assert_eq!((&status["userId"], &status["status"]), (&json!(ada_id), &json!("SUCCESS")));
    assert_eq!(order_status(&other, &bob, 1).await, "FAILED", "the other instance remembers the refusal");
    assert_eq!(attempt(&other, &ada, 1).await.status, 200);
    sale_at_once(&Merchant::sign_in(&two).await, json!({})).await;
    assert_eq!(other.get_as(&ada, "/api/flash-sale/status").await.expect(200)["id"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_the_native_limits() {
    let flags = ["--dialects", "attempts=127.0.0.1:0", "--limit-buy", "2/1h", "--limit-auth", "4/1h"];
    let app = TestApp::start_with(&flags).await;
    let client = DialectClient::of(&app, Dialect::Attempts);
    sale_at_once(&Merchant::sign_in(&app).await, json!({})).await;
    let (ada, _) = sign_in(&client, "ada").await;
    for _ in 0..2 {
        assert_eq!(attempt(&client, &ada, 1).await.status, 200);
    }
    let limited = attempt(&client, &ada, 1).await;
    assert_error(&limited.expect(429), "Too many requests", "");
    assert!(limited.header("retry-after").parse::<u32>().unwrap() > 0);
    assert_eq!(order_status(&client, &ada, 1).await, "SUCCESS", "reads have a limit of their own");
    let login = json!({"username": "ada", "password": "secret"});
    client.post("/api/auth/login", &login).await.expect(200);
    assert_error(&client.post("/api/auth/login", &login).await.expect(429), "Too many requests", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_and_its_page_are_served_at_the_root_and_below_a_prefix() {
    for flags in [FLAGS, ["--limits", "off", "--dialects", "attempts"]] {
        let app = TestApp::start_with(&flags).await;
        let client = DialectClient::of(&app, Dialect::Attempts);
        let health = client.get("/health").await.expect(200);
        assert_eq!(health["status"], "ok");
        assert!(health["timestamp"].as_str().unwrap().ends_with('Z'), "{health}");
        let description = client.get("/api-docs.json").await.expect(200);
        assert!(description["openapi"].as_str().unwrap().starts_with("3."));
        assert!(description["paths"]["/api/flash-sale/attempt/{saleId}"]["post"].is_object());
        let page = client.get("/api-docs").await;
        assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
        let text = String::from_utf8(page.body.clone()).unwrap();
        // Every file that the page names is beside it.
        let files: Vec<&str> =
            text.split("\"api-docs/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert!(files.len() >= 4, "{text}");
        for file in files {
            assert_eq!(client.get(&format!("/api-docs/{file}")).await.status, 200, "{file}");
        }
        let script = client.get("/api-docs/swagger-initializer.js").await;
        assert!(String::from_utf8_lossy(&script.body).contains("api-docs.json"));
        assert!(page.header("content-security-policy").contains("script-src 'self'"));
        assert_eq!(client.get("/api-docs/nothing.js").await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_sell_as_one() {
    let (valkey, database) = (RedisServer::start(), PostgresServer::shared().create_database());
    let url = valkey.url();
    let one = TestApp::start_with(&[&FLAGS[..], &["--database", &database, "--valkey", &url]].concat()).await;
    let two = one.second_instance().await;
    let clients = [&one, &two].map(|app| DialectClient::of(app, Dialect::Attempts));
    let sale = sale_at_once(&Merchant::sign_in(&one).await, json!({"quantity": 8})).await;
    // Accounts are made at both at the same time, and get ids without a gap.
    let names: Vec<String> = (0..20).map(|number| format!("buyer-{number}")).collect();
    let made = names.iter().enumerate().map(|(at, name)| sign_in(&clients[at % 2], name));
    let buyers = join_all(made).await;
    let mut ids: Vec<u32> = buyers.iter().map(|(_, id)| id.parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (2..22).collect::<Vec<_>>());
    // Each buyer attempts five times at each instance.
    let attempts = buyers.iter().flat_map(|(token, _)| {
        clients.iter().flat_map(move |client| (0..5).map(move |_| attempt(client, token, 1)))
    });
    let replies = join_all(attempts).await;
    let mut winners = 0;
    for (replies, (token, id)) in replies.chunks(10).zip(&buyers) {
        let has_won = replies[0].status == 200;
        for reply in replies {
            assert_eq!(reply.status == 200, has_won, "{id}: {replies:?}");
            if !has_won {
                assert!(reply.message(400).contains("stock"));
            }
        }
        winners += u32::from(has_won);
        let expected = if has_won { "SUCCESS" } else { "FAILED" };
        for client in &clients {
            assert_eq!(order_status(client, token, 1).await, expected);
        }
    }
    assert_eq!(winners, 8);
    assert_eq!(one.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["sold"], 8);
    verify(&one);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_of_the_native_api_is_no_account() {
    let app = TestApp::start_with(&[&FLAGS[..], &["--guests", "on"]].concat()).await;
    let client = DialectClient::of(&app, Dialect::Attempts);
    let sale = sale_at_once(&Merchant::sign_in(&app).await, json!({})).await;
    let guest = app.post("/api/v1/auth/guest", &json!({"email": "ada@example.com"})).await.json();
    let token = guest["accessToken"].as_str().unwrap();
    let refused = attempt(&client, token, 1).await.expect(401);
    assert_error(&refused, "Unauthorized", "Invalid or expired token");
    let read = client.get_as(token, "/api/orders/status/1").await.expect(401);
    assert_error(&read, "Unauthorized", "Invalid or expired token");
    assert_eq!(app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["sold"], 0);
}
