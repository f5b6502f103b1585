//! The dialect `drop`, as the clients of its design use it.

use crate::client::{DialectClient, DialectReply};
use crate::support::TestApp;
use documents::moment::rfc3339;
use engine::clock::read_wall_clock;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use server::http::dialects::Dialect;
use std::sync::atomic::{AtomicU64, Ordering};
use test_servers::postgres::PostgresServer;
use test_servers::redis::RedisServer;

const FLAGS: [&str; 6] = ["--limits", "off", "--dialects", "drop=127.0.0.1:0", "--dialect-admin", "open"];

async fn start() -> (TestApp, DialectClient) {
    let app = TestApp::start_with(&FLAGS).await;
    let client = DialectClient::of(&app, Dialect::Drop);
    (app, client)
}

/// Sets up a sale that began an hour ago.
async fn init(client: &DialectClient, stock: u32) {
    init_between(client, stock, -3_600, 3_600).await;
}

/// Sets up a sale between two moments, in seconds from now.
async fn init_between(client: &DialectClient, stock: u32, from: i64, to: i64) {
    let body = json!({
        "startTime": moment(from), "endTime": moment(to), "totalStock": stock, "productName": "Limited Lamp",
    });
    assert_eq!(client.post("/api/sale/init", &body).await.expect(200)["success"], true);
}

fn moment(seconds_from_now: i64) -> String {
    rfc3339(read_wall_clock().plus_ms(seconds_from_now * 1_000))
}

async fn buy(client: &DialectClient, user: &str) -> DialectReply {
    client.post("/api/sale/purchase", &json!({"userId": user})).await
}

async fn status(client: &DialectClient) -> Value {
    client.get("/api/sale/status").await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_from_init_to_sold_out() {
    let (_app, client) = start().await;
    let nothing = client.get("/api/sale/status").await;
    assert_eq!(nothing.header("retry-after"), "1");
    let nothing = nothing.expect(503);
    for field in ["error", "message", "hint"] {
        assert!(nothing[field].is_string(), "{nothing}");
    }
    assert_eq!(client.get("/api/sale/user/ada").await.expect(200), json!({"hasPurchased": false}));

    init(&client, 2).await;
    let shown = status(&client).await;
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["productName"], "Limited Lamp");
    assert_eq!((&shown["totalStock"], &shown["remainingStock"]), (&json!(2), &json!(2)));
    let start = shown["startTime"].as_str().unwrap();
    assert!(start.len() == 24 && start.ends_with('Z'), "{shown}");

    let bought = buy(&client, "ada").await.expect(200);
    assert_eq!(bought["success"], true);
    assert_eq!(bought["remainingStock"], 1);
    assert!(bought["message"].as_str().unwrap().contains("successful"), "{bought}");
    let again = buy(&client, "ada").await;
    assert!(again.message(400).contains("already purchased"));
    assert_eq!(again.json()["remainingStock"], 1);
    assert_eq!(again.json()["success"], false);

    buy(&client, "bob").await.expect(200);
    let shown = status(&client).await;
    assert_eq!((&shown["status"], &shown["remainingStock"]), (&json!("sold_out"), &json!(0)));
    let late = buy(&client, "eve").await;
    assert!(late.message(400).contains("sold out"));
    assert_eq!(late.json()["remainingStock"], 0);
    assert!(buy(&client, "bob").await.message(400).contains("already purchased"), "also when all is sold");
    for (content_type, body) in
        [(Some("application/json"), "{"), (None, "[]"), (Some("application/json"), "5")]
    {
        let refused = client.post_raw("/api/sale/init", content_type, body).await.expect(400);
        assert!(refused["required"].is_array(), "{refused}");
    }

    let user = client.get("/api/sale/user/ada").await.expect(200);
    assert_eq!(user["hasPurchased"], true);
    assert!(user["purchaseTime"].as_str().unwrap().ends_with('Z'), "{user}");
    assert_eq!(client.get("/api/sale/user/eve").await.expect(200), json!({"hasPurchased": false}));
    let statistics = client.get("/api/sale/stats").await.expect(200);
    assert_eq!(statistics["totalPurchases"], 2);
    assert_eq!(statistics["soldPercentage"], "100.00");
    assert_eq!(statistics["status"], "sold_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn races_sell_each_unit_once_and_each_buyer_one() {
    let (_app, client) = start().await;
    init(&client, 10).await;
    let users: Vec<String> = (0..30).map(|n| format!("user-{n}")).collect();
    let replies = join_all(users.iter().map(|user| buy(&client, user))).await;
    let bought = replies.iter().filter(|reply| reply.status == 200);
    let mut left: Vec<u64> = bought.map(|reply| reply.json()["remainingStock"].as_u64().unwrap()).collect();
    left.sort_unstable();
    assert_eq!(left, (0..10).collect::<Vec<u64>>(), "each has the stock right after it");
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert!(reply.message(400).contains("sold out"));
    }
    assert_eq!(status(&client).await["remainingStock"], 0);

    init(&client, 10).await;
    let replies = join_all((0..50).map(|_| buy(&client, "ada"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert!(reply.message(400).contains("already purchased"));
    }
    assert_eq!(status(&client).await["remainingStock"], 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_instance_has_answered_is_read_at_the_other() {
    let (valkey, database) = (RedisServer::start(), PostgresServer::shared().create_database());
    let url = valkey.url();
    let servers = ["--database", database.as_str(), "--valkey", url.as_str()];
    let one = TestApp::start_with(&[&FLAGS[..], &servers].concat()).await;
    let two = one.second_instance().await;
    let clients = [&one, &two].map(|app| DialectClient::of(app, Dialect::Drop));
    for round in 0..6 {
        init(&clients[round % 2], 5).await;
        let other = &clients[(round + 1) % 2];
        assert_eq!(status(other).await["remainingStock"], 5, "a sale that another instance has just made");
        buy(other, "ada").await.expect(200);
        let user = clients[round % 2].get("/api/sale/user/ada").await.expect(200);
        assert_eq!(user["hasPurchased"], true);
    }
    init(&clients[0], 60).await;
    for n in 0..40 {
        let (buying, reading) = (&clients[n % 2], &clients[(n + 1) % 2]);
        let user = format!("user-{n}");
        let left = buy(buying, &user).await.expect(200)["remainingStock"].clone();
        assert_eq!(left, json!(59 - n));
        assert_eq!(status(reading).await["remainingStock"], left, "read at the other instance");
        let shown = reading.get("/api/sale/stats").await.expect(200);
        assert_eq!(shown["totalPurchases"], json!(n + 1));
        assert_eq!(reading.get(&format!("/api/sale/user/{user}")).await.expect(200)["hasPurchased"], true);
    }
    // Buyers and readers at once: no reader sees more than the answer before it.
    let left = AtomicU64::new(20);
    let buying = async {
        for n in 40..60 {
            let bought = buy(&clients[n % 2], &format!("user-{n}")).await.expect(200);
            left.store(bought["remainingStock"].as_u64().unwrap(), Ordering::SeqCst);
        }
    };
    let reading = join_all((0..8).map(async |n| {
        while left.load(Ordering::SeqCst) > 0 {
            let answered = left.load(Ordering::SeqCst);
            let read = status(&clients[n % 2]).await["remainingStock"].as_u64().unwrap();
            assert!(read <= answered, "{read} after {answered} was answered");
        }
    }));
    tokio::join!(buying, reading);
    assert_eq!(status(&clients[0]).await["status"], "sold_out");
    assert_eq!(status(&clients[1]).await["status"], "sold_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_is_not_open_says_so() {
    let (app, client) = start().await;
    init_between(&client, 5, 600, 1_200).await;
    assert_eq!(status(&client).await["status"], "upcoming");
    let early = buy(&client, "ada").await;
    assert!(early.message(400).contains("not started"));
    assert_eq!(early.json()["remainingStock"], 5);
    app.shift_clock(700_000);
    buy(&client, "ada").await.expect(200);
    app.shift_clock(600_000);
    assert_eq!(status(&client).await["status"], "ended");
    assert!(buy(&client, "bob").await.message(400).contains("ended"));
    assert!(buy(&client, "ada").await.message(400).contains("already purchased"), "also after the end");

    // Both times may be in the past.
    init_between(&client, 5, -7_200, -3_600).await;
    assert_eq!(status(&client).await["status"], "ended");

    init(&client, 5).await;
    let admin = app.admin().await;
    let sales = app.get("/api/v1/flash-sales").await.json();
    let id = sales["items"][0]["id"].as_str().unwrap();
    let paused =
        app.post_as(&admin.access, &format!("/api/v1/admin/flash-sales/{id}/pause"), &json!({})).await;
    assert_eq!(paused.status, 200, "{paused:?}");
    assert_eq!(status(&client).await["status"], "upcoming", "a paused sale");
    assert!(buy(&client, "ada").await.message(400).contains("not started"));
}

#[tokio::test(flavor = "multi_thread")]
async fn init_replaces_the_sale_and_refuses_what_is_wrong() {
    let (app, client) = start().await;
    init(&client, 3).await;
    buy(&client, "ada").await.expect(200);
    init(&client, 7).await;
    let shown = status(&client).await;
    assert_eq!((&shown["totalStock"], &shown["remainingStock"]), (&json!(7), &json!(7)));
    buy(&client, "ada").await.expect(200);
    let listed = app.get("/api/v1/flash-sales").await.json();
    let statuses: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|sale| sale["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["active", "closed"], "the sale before is closed");
    join_all((0..6).map(|stock| init(&client, stock + 10))).await;
    let listed = app.get("/api/v1/flash-sales").await.json();
    let open = listed["items"].as_array().unwrap().iter().filter(|sale| sale["status"] == "active").count();
    assert_eq!(open, 1, "of several calls at once the newest sale is left");
    init(&client, 7).await;

    let whole =
        json!({"startTime": moment(0), "endTime": moment(60), "totalStock": 1, "productName": "Lamp"});
    for (field, wrong) in [
        ("startTime", Value::Null),
        ("startTime", json!("noon")),
        ("endTime", Value::Null),
        ("endTime", json!(moment(-60))),
        ("totalStock", Value::Null),
        ("totalStock", json!(0)),
        ("totalStock", json!(1.5)),
        ("totalStock", json!("many")),
        ("productName", json!(" ")),
    ] {
        let mut body = whole.clone();
        body[field] = wrong;
        let refused = client.post("/api/sale/init", &body).await.expect(400);
        assert_eq!(
            refused["required"],
            json!(["startTime", "endTime", "totalStock", "productName"]),
            "{body}"
        );
        assert!(refused["error"].is_string() && refused["message"].is_string(), "{refused}");
    }
    assert_eq!(status(&client).await["totalStock"], 7, "a refused call changes nothing");
    let lenient = format!("startTime={}&endTime={}&totalStock=4&productName=Lamp", moment(-60), moment(60));
    let form = Some("application/x-www-form-urlencoded");
    client.post_raw("/api/sale/init", form, &lenient).await.expect(200);
    assert_eq!(status(&client).await["totalStock"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_text_is_a_user_and_blank_ones_are_refused() {
    let (_app, client) = start().await;
    init(&client, 50).await;
    let long = "ä".repeat(255);
    for (user, path) in [
        ("a/b/../c", "a/b/../c"),
        ("100%", "100%"),
        ("100% sure", "100%25%20sure"),
        ("%zz", "%zz"),
        ("%E4", "%E4"),
        ("😀", "%F0%9F%98%80"),
        (" ada ", "%20ada%20"),
        ("ada", "ada"),
        ("Ada", "Ada"),
        ("a+b@example.com", "a+b@example.com"),
        (long.as_str(), &"%C3%A4".repeat(255)),
    ] {
        buy(&client, user).await.expect(200);
        let raw = raw_get(&client, &format!("/api/sale/user/{path}")).await;
        assert!(raw.contains("\"hasPurchased\":true"), "{user}: {raw}");
    }
    let raw = raw_get(&client, "/api/sale/user/%FF").await;
    assert!(raw.contains("\"hasPurchased\":false"), "what is no text is nobody else's id: {raw}");
    let marked = client.post_raw("/api/sale/purchase", None, "\u{feff}{\"userId\": \"marked\"}").await;
    marked.expect(200);
    let number = client.post("/api/sale/purchase", &json!({"userId": 12})).await;
    number.expect(200);
    assert_eq!(client.get("/api/sale/user/12").await.expect(200)["hasPurchased"], true);

    for user in ["", " ", "\t", &"a".repeat(256)] {
        let refused = buy(&client, user).await.expect(400);
        assert!(!refused.as_object().unwrap().contains_key("remainingStock"), "{refused}");
        assert_eq!(refused["success"], false);
    }
    client.post("/api/sale/purchase", &json!({"userId": {"id": 1}})).await.expect(400);
    client.post("/api/sale/purchase", &json!({})).await.expect(400);
    for blank in ["/api/sale/user/", "/api/sale/user/%20"] {
        let refused = client.get(blank).await.expect(400);
        assert!(refused["error"].is_string() && refused["message"].is_string(), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_admin_calls_are_refused_before_their_body_is_read() {
    let app = TestApp::start_with(&["--limits", "off", "--dialects", "drop=127.0.0.1:0"]).await;
    let client = DialectClient::of(&app, Dialect::Drop);
    let json = Some("application/json");
    for body in ["{x", "[]"] {
        client.post_raw("/api/sale/init", json, body).await.expect(401);
    }
    let admin = app.admin().await.access;
    let request = client.request(Method::POST, "/api/sale/init").bearer_auth(&admin).body("{x");
    DialectReply::send(request).await.expect(400);
}

/// A request whose path no library rewrites.
async fn raw_get(client: &DialectClient, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let url = client.request(Method::GET, "/").build().unwrap().url().clone();
    let address = (url.host_str().unwrap().to_owned(), url.port().unwrap());
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: drop.test\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_outlive_a_restart_and_guests_are_stored() {
    let (app, client) = start().await;
    init(&client, 5).await;
    buy(&client, "ada").await.expect(200);
    let database = app.database().await;
    let name: String = sqlx::query_scalar("SELECT name FROM guests WHERE origin = 'drop'")
        .fetch_one(&database)
        .await
        .unwrap();
    assert_eq!(name, "ada");
    let guests: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM guests").fetch_one(&database).await.unwrap();
    client.get("/api/sale/user/nobody").await.expect(200);
    let after: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM guests").fetch_one(&database).await.unwrap();
    assert_eq!(guests, after, "a read stores nothing");
    database.close().await;

    let app = app.restart().await;
    let client = DialectClient::of(&app, Dialect::Drop);
    assert_eq!(status(&client).await["remainingStock"], 4);
    assert_eq!(client.get("/api/sale/user/ada").await.expect(200)["hasPurchased"], true);
    assert!(buy(&client, "ada").await.message(400).contains("already purchased"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refunded_buyer_may_buy_again() {
    let (app, client) = start().await;
    init(&client, 2).await;
    buy(&client, "ada").await.expect(200);
    let admin = app.admin().await;
    for round in 0..3 {
        let orders = app.get_as(&admin.access, "/api/v1/admin/orders?status=confirmed").await.json();
        let order = orders["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{orders}")).to_owned();
        let refund = format!("/api/v1/admin/orders/{order}/refund");
        let refunded = app.post_as(&admin.access, &refund, &json!({"restock": true})).await;
        assert_eq!(refunded.status, 200, "{refunded:?}");
        assert_eq!(client.get("/api/sale/user/ada").await.expect(200), json!({"hasPurchased": false}));
        let replies = join_all((0..5).map(|_| buy(&client, "ada"))).await;
        assert_eq!(
            replies.iter().filter(|reply| reply.status == 200).count(),
            1,
            "round {round}: {replies:?}"
        );
        wait_until_listed(&app, &admin.access, &order).await;
    }
}

/// Waits until the tables have the newest order, so that the next search finds it and not the refunded one.
async fn wait_until_listed(app: &TestApp, token: &str, refunded: &str) {
    test_servers::wait::eventually(
        "the newest order is listed",
        test_servers::wait::HANG_LIMIT,
        async || {
            let orders = app.get_as(token, "/api/v1/admin/orders?status=confirmed").await.json();
            orders["items"][0]["id"].as_str().is_some_and(|id| id != refunded)
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_sale_is_sold_and_only_if_it_sells_at_once() {
    let app = TestApp::start_with(&[&FLAGS[..], &["--drop-sale", "lamp"]].concat()).await;
    let client = DialectClient::of(&app, Dialect::Drop);
    assert_eq!(client.get("/api/sale/status").await.status, 503, "it does not exist yet");
    let body = json!({"startTime": moment(0), "endTime": moment(60), "totalStock": 1, "productName": "Lamp"});
    client.post("/api/sale/init", &body).await.expect(409);

    let admin = app.admin().await;
    let price = json!({"amount": 0, "currency": "USD"});
    let product = app
        .post_as(&admin.access, "/api/v1/admin/products", &json!({"name": "Lamp", "price": price}))
        .await
        .json();
    let sale = json!({
        "productId": product["id"], "slug": "lamp", "price": price, "quantity": 3, "limitPerBuyer": 3,
        "startsAt": moment(-60), "endsAt": moment(3_600), "admission": {"type": "open"}, "payment": "none",
    });
    let made = app.post_as(&admin.access, "/api/v1/admin/flash-sales", &sale).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(status(&client).await["totalStock"], 3);
    buy(&client, "ada").await.expect(200);
    assert!(
        buy(&client, "ada").await.message(400).contains("already purchased"),
        "one each, whatever the limit"
    );

    let line = json!({
        "productId": product["id"], "slug": "line", "price": price, "quantity": 3, "limitPerBuyer": 1,
        "startsAt": moment(-60), "endsAt": moment(3_600),
        "admission": {"type": "fifo", "perSecond": 10, "checkoutSeconds": 60}, "payment": "none",
    });
    let made = app.post_as(&admin.access, "/api/v1/admin/flash-sales", &line).await;
    assert_eq!(made.status, 201, "{made:?}");
    let app = TestApp::start_with(&FLAGS).await;
    let client = DialectClient::of(&app, Dialect::Drop);
    let admin = app.admin().await;
    let product = app
        .post_as(&admin.access, "/api/v1/admin/products", &json!({"name": "Lamp", "price": price}))
        .await
        .json();
    let mut line = line;
    line["productId"] = product["id"].clone();
    let made = app.post_as(&admin.access, "/api/v1/admin/flash-sales", &line).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(status(&client).await["status"], "active");
    let refused = buy(&client, "ada").await;
    refused.message(400);
    assert_eq!(refused.json()["success"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_ten_purchase_calls_a_minute_and_reads_are_free() {
    let flags = ["--dialects", "drop=127.0.0.1:0", "--dialect-admin", "open"];
    let app = TestApp::start_with(&flags).await;
    let client = DialectClient::of(&app, Dialect::Drop);
    init(&client, 5).await;
    for _ in 0..10 {
        assert_ne!(buy(&client, "ada").await.status, 429);
    }
    let refused = buy(&client, "ada").await;
    assert_eq!(refused.expect(429)["success"], false);
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    buy(&client, "bob").await.expect(200);
    for _ in 0..20 {
        client.get("/api/sale/user/ada").await.expect(200);
        status(&client).await;
    }
}
