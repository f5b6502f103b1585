//! The contract, row by row: who may call what, which members a reply has, which code a refusal.

use crate::merchant::{Merchant, assert_refused, eur, id, join_line, order, position, wait_until_admitted};
use crate::support::{HttpReply, PASSWORD, SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const UNKNOWN: &str = "0190f3a4-0000-7000-8000-000000000000";

async fn call(
    app: &TestApp,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> HttpReply {
    let mut request = app.request(method, &format!("/api/v1{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    HttpReply::send(request).await
}

fn members(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn assert_has(value: &Value, names: &[&str]) {
    let missing: Vec<_> = names.iter().filter(|name| !members(value).contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?} in {value}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_asks_for_the_token_that_the_contract_names() {
    let app = TestApp::start().await;
    let buyer = app.register("ada").await.access;
    let sale = format!("/flash-sales/{UNKNOWN}");
    let order = format!("/orders/{UNKNOWN}");
    let admin = |path: &str| format!("/admin{path}");
    let for_all = [(Method::GET, "/products".to_owned()), (Method::GET, "/flash-sales".to_owned())];
    let for_buyers = [
        (Method::POST, "/auth/logout".to_owned()),
        (Method::GET, "/auth/me".to_owned()),
        (Method::GET, format!("{sale}/queue-position")),
        (Method::POST, "/queue/join".to_owned()),
        (Method::POST, "/queue/extend".to_owned()),
        (Method::GET, format!("/queue/position?flashSaleId={UNKNOWN}")),
        (Method::DELETE, format!("/queue/leave?flashSaleId={UNKNOWN}")),
        (Method::POST, "/orders".to_owned()),
        (Method::GET, "/orders".to_owned()),
        (Method::GET, order.clone()),
        (Method::DELETE, order.clone()),
        (Method::POST, format!("{order}/pay")),
    ];
    let mut for_admins = vec![
        (Method::POST, admin("/products")),
        (Method::PATCH, admin(&format!("/products/{UNKNOWN}"))),
        (Method::DELETE, admin(&format!("/products/{UNKNOWN}"))),
        (Method::POST, admin("/flash-sales")),
        (Method::PATCH, admin(&sale)),
        (Method::DELETE, admin(&sale)),
        (Method::GET, admin("/orders")),
        (Method::GET, admin("/orders.csv")),
        (Method::GET, admin("/followers")),
        (Method::POST, admin("/followers/projector/rewind")),
        (Method::POST, admin(&format!("{order}/refund"))),
    ];
    for action in ["pause", "resume", "close", "restock"] {
        for_admins.push((Method::POST, admin(&format!("{sale}/{action}"))));
    }
    for page in ["overview", "queue", "orders", "attempts", "events"] {
        for_admins.push((Method::GET, admin(&format!("{sale}/{page}"))));
    }
    for (method, path) in for_all {
        assert_eq!(call(&app, method, &path, None, None).await.status, StatusCode::OK, "{path}");
    }
    // Authorisation comes before validation: a stranger learns nothing from a body or an id.
    for (method, path) in for_buyers.iter().chain(&for_admins) {
        let reply = call(&app, method.clone(), path, None, Some(&json!({"junk": 1}))).await;
        assert_refused(&reply, 401, "unauthorized");
        assert!(reply.header("www-authenticate").starts_with("Bearer"));
    }
    for (method, path) in &for_admins {
        assert_refused(
            &call(&app, method.clone(), path, Some(&buyer), Some(&json!({"junk": 1}))).await,
            403,
            "forbidden",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_has_all_its_members_in_every_reply_and_tells_the_time() {
    const MEMBERS: [&str; 19] = [
        "id",
        "slug",
        "product",
        "price",
        "listPrice",
        "quantity",
        "available",
        "held",
        "sold",
        "availability",
        "status",
        "startsAt",
        "endsAt",
        "limitPerBuyer",
        "admission",
        "waiting",
        "serverTime",
        "version",
        "slug",
    ];
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let product = merchant.product("A thing").await;
    let starts_at = merchant.moment(600_000);
    let body =
        merchant.sale_body(&product, &json!({"startsAt": starts_at, "endsAt": merchant.moment(1_200_000)}));
    let made = merchant.post("/flash-sales", &body).await.json();
    let sale = id(&made);
    assert_has(&made, &MEMBERS);
    let path = format!("/api/v1/flash-sales/{sale}");
    for reply in [
        app.get(&path).await.json(),
        app.get("/api/v1/flash-sales").await.json()["items"][0].clone(),
        merchant.patch(&format!("/flash-sales/{sale}"), &json!({"holdSeconds": 60})).await.json(),
        merchant.post(&format!("/flash-sales/{sale}/pause"), &json!({})).await.json(),
        merchant.post(&format!("/flash-sales/{sale}/resume"), &json!({})).await.json(),
        merchant.post(&format!("/flash-sales/{sale}/restock"), &json!({"quantity": 1})).await.json(),
        merchant.get(&format!("/flash-sales/{sale}/overview")).await["sale"].clone(),
    ] {
        assert_has(&reply, &MEMBERS);
        assert_eq!(reply["startsAt"], json!(starts_at));
        let time = reply["serverTime"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }

    let status = async || app.get(&path).await.json()["status"].clone();
    assert_eq!(status().await, "upcoming");
    app.shift_clock(601_000);
    assert_eq!(status().await, "active");
    app.shift_clock(600_000);
    assert_eq!(status().await, "ended");
    merchant.post(&format!("/flash-sales/{sale}/close"), &json!({})).await;
    assert_eq!(status().await, "closed");
    for (status, expected) in [("closed", 1), ("active", 0), ("ended", 0), ("paused", 0), ("upcoming", 0)] {
        let list = app.get(&format!("/api/v1/flash-sales?status={status}")).await.json();
        assert_eq!(list["items"].as_array().unwrap().len(), expected, "{status}");
    }
    assert_refused(&app.get("/api/v1/flash-sales?status=open").await, 422, "invalid_query");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_has_not_changed_is_304_until_it_does() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let buyer = app.register("ada").await;
    let sale = merchant.sale(&json!({})).await;
    let ask = async |known: &str| {
        let request = app.request(Method::GET, &format!("/api/v1/flash-sales/{sale}"));
        HttpReply::send(request.header("if-none-match", known)).await
    };
    let first = ask("\"other\"").await;
    let etag = first.header("etag").to_owned();
    assert_eq!((first.status, first.header("cache-control")), (StatusCode::OK, "no-cache"));
    for known in [etag.clone(), "*".to_owned(), format!("\"x\", {etag}"), etag.replace("W/", "")] {
        let reply = ask(&known).await;
        assert_eq!((reply.status, reply.body.len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
        assert_eq!(reply.header("etag"), etag);
    }
    order(&app, &buyer, &sale, 1).await;
    let changed = ask(&etag).await;
    assert_eq!((changed.status, &changed.json()["held"]), (StatusCode::OK, &json!(1)));
    assert_ne!(changed.header("etag"), etag);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shown_with_its_price_its_place_and_its_end() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    let sale = merchant.sale(&json!({"limitPerBuyer": 5, "holdSeconds": 60})).await;
    let made = order(&app, &ada, &sale, 2).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let body = made.json();
    assert_has(&body, &["id", "flashSaleId", "status", "expiresAt", "quantity", "unitPrice", "total"]);
    assert_eq!(
        (&body["status"], &body["total"], &body["quantity"]),
        (&json!("pending"), &eur(5998), &json!(2))
    );
    let path = format!("/api/v1/orders/{}", id(&body));
    assert_eq!(made.header("location"), path);
    assert_eq!(app.get_as(&ada.access, &path).await.json(), body, "it is there at once");
    assert_eq!(app.get_as(&ada.access, "/api/v1/orders").await.json()["items"], json!([body]));

    // Without a quantity it is one. `Prefer` changes the status, not the durability.
    for prefer in ["respond-async", "wait=1, RESPOND-ASYNC"] {
        let request = app.request(Method::POST, "/api/v1/orders").bearer_auth(&ada.access);
        let reply =
            HttpReply::send(request.header("prefer", prefer).json(&json!({"flashSaleId": sale}))).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED);
        assert_eq!(reply.header("preference-applied"), "respond-async");
        let there = app.get_as(&ada.access, reply.header("location")).await;
        assert_eq!((there.status, &there.json()["quantity"]), (StatusCode::OK, &json!(1)));
    }
    let plain = app.request(Method::POST, "/api/v1/orders").bearer_auth(&bob.access);
    let plain =
        HttpReply::send(plain.header("prefer", "return=minimal").json(&json!({"flashSaleId": sale}))).await;
    assert_eq!(plain.status, StatusCode::CREATED);
    assert!(!plain.headers.contains_key("preference-applied"));

    // To anyone else it is as unknown as one that never was.
    let unknown = format!("/api/v1/orders/{UNKNOWN}");
    let pay = json!({"method": "sandbox:approve"});
    for path in [&path, &unknown] {
        assert_refused(&app.get_as(&bob.access, path).await, 404, "order_unknown");
        let cancel = app.request(Method::DELETE, path).bearer_auth(&bob.access);
        assert_refused(&HttpReply::send(cancel).await, 404, "order_unknown");
        assert_refused(&app.post_as(&bob.access, &format!("{path}/pay"), &pay).await, 404, "order_unknown");
    }
    let cancel = async || HttpReply::send(app.request(Method::DELETE, &path).bearer_auth(&ada.access)).await;
    assert_eq!(cancel().await.json()["status"], "cancelled");
    assert_eq!(cancel().await.json()["status"], "cancelled", "again is fine");
    assert_refused(&app.post_as(&ada.access, &format!("{path}/pay"), &pay).await, 410, "order_expired");
    assert_eq!(app.get_as(&ada.access, &path).await.json()["status"], "cancelled");

    let at_once = merchant.sale(&json!({"payment": "none"})).await;
    let body = order(&app, &ada, &at_once, 1).await.json();
    assert_eq!((&body["status"], body.get("expiresAt")), (&json!("confirmed"), None));
    let cancel =
        app.request(Method::DELETE, &format!("/api/v1/orders/{}", id(&body))).bearer_auth(&ada.access);
    assert_refused(&HttpReply::send(cancel).await, 409, "order_state");
    let paid = app.post_as(&ada.access, &format!("/api/v1/orders/{}/pay", id(&body)), &pay).await;
    assert_eq!((paid.status, paid.json().get("payment")), (StatusCode::OK, None), "nothing is to be paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_of_an_order_has_its_status_and_its_code() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    let sale = merchant.sale(&json!({"quantity": 1})).await;
    let held = id(&order(&app, &ada, &sale, 1).await.json());
    assert_refused(&order(&app, &ada, &sale, 1).await, 409, "limit_reached");
    assert_refused(&order(&app, &bob, &sale, 1).await, 409, "all_held");
    assert_eq!(app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["availability"], "all_held");
    let pay = json!({"method": "sandbox:approve"});
    app.post_as(&ada.access, &format!("/api/v1/orders/{held}/pay"), &pay).await;
    assert_refused(&order(&app, &bob, &sale, 1).await, 409, "sold_out");
    assert_eq!(app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["availability"], "sold_out");

    let sale = merchant
        .sale(&json!({"startsAt": merchant.moment(60_000), "endsAt": merchant.moment(120_000)}))
        .await;
    assert_refused(&order(&app, &ada, &sale, 1).await, 425, "not_started");
    app.shift_clock(60_000);
    merchant.post(&format!("/flash-sales/{sale}/pause"), &json!({})).await;
    let paused = order(&app, &ada, &sale, 1).await;
    assert_refused(&paused, 409, "paused");
    assert!(!paused.header("retry-after").is_empty());
    merchant.post(&format!("/flash-sales/{sale}/resume"), &json!({})).await;
    app.shift_clock(60_000);
    assert_refused(&order(&app, &ada, &sale, 1).await, 410, "ended");
    let closed = merchant.sale(&json!({})).await;
    merchant.post(&format!("/flash-sales/{closed}/close"), &json!({})).await;
    assert_refused(&order(&app, &ada, &closed, 1).await, 410, "closed");
    assert_refused(&order(&app, &ada, UNKNOWN, 1).await, 404, "sale_unknown");

    let fifo =
        json!({"quantity": 1, "admission": {"type": "fifo", "perSecond": 100, "checkoutSeconds": 600}});
    let line = merchant.sale(&fifo).await;
    assert_refused(&order(&app, &ada, &line, 1).await, 403, "not_in_line");
    join_line(&app, &ada, &line).await;
    join_line(&app, &bob, &line).await;
    wait_until_admitted(&app, &ada, &line).await;
    let early = order(&app, &bob, &line, 1).await;
    assert_refused(&early, 403, "not_admitted");
    assert_eq!((&early.json()["position"], &early.json()["ahead"]), (&json!(1), &json!(0)));
    assert_eq!(order(&app, &ada, &line, 1).await.status, StatusCode::CREATED);
    for reply in [app.get("/api/v1/products/1").await, app.get(&format!("/api/v1/products/{UNKNOWN}")).await]
    {
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        reply.problem();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_line_is_given_once_shown_alike_everywhere_and_given_back() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    let admission =
        json!({"type": "fifo", "perSecond": 1, "checkoutSeconds": 30, "lineOpensSecondsBefore": 60});
    let more = json!({"quantity": 1, "startsAt": merchant.moment(120_000), "admission": admission});
    let sale = merchant.sale(&more).await;
    assert_refused(&join_line(&app, &ada, &sale).await, 425, "not_started");
    app.shift_clock(61_000);
    let first = join_line(&app, &ada, &sale).await;
    assert_eq!(first.status, StatusCode::CREATED, "the line opens a minute before the sale");
    let place = first.json();
    assert_has(&place, &["ticket", "position", "ahead", "status", "estimatedWaitSeconds", "receipt"]);
    assert_eq!(
        (&place["ticket"], &place["position"], &place["status"]),
        (&json!(1), &json!(1), &json!("waiting"))
    );
    assert!((1..=60).contains(&place["estimatedWaitSeconds"].as_u64().unwrap()), "{place}");
    let again = join_line(&app, &ada, &sale).await;
    let mut same = again.json();
    // It counts the seconds until the start.
    same["estimatedWaitSeconds"] = place["estimatedWaitSeconds"].clone();
    assert_eq!((again.status, same), (StatusCode::OK, place.clone()), "a second tab gets the same reply");
    assert_eq!(join_line(&app, &bob, &sale).await.json()["ahead"], 1);
    let under_sale =
        app.get_as(&ada.access, &format!("/api/v1/flash-sales/{sale}/queue-position")).await.json();
    assert_eq!(under_sale["ticket"], position(&app, &ada, &sale).await["ticket"]);
    assert_eq!(app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["waiting"], 2);

    let receipt = place["receipt"].as_str().unwrap();
    let check = async |buyer: &str, receipt: &str| {
        let path = format!("/flash-sales/{sale}/receipt?buyer={buyer}&receipt={receipt}");
        merchant.get(&path).await
    };
    assert_eq!(check("ada@example.com", receipt).await, json!({"genuine": true, "ticket": 1}));
    assert_eq!(
        check("bob@example.com", receipt).await,
        json!({"genuine": false, "ticket": null}),
        "in other hands"
    );
    assert_eq!(check("nobody@example.com", receipt).await["genuine"], false);

    app.shift_clock(60_000);
    let admitted = wait_until_admitted(&app, &ada, &sale).await;
    assert_eq!((&admitted["position"], &admitted["receipt"]), (&json!(0), &place["receipt"]));
    assert!(admitted["admittedUntil"].as_str().unwrap().ends_with('Z'));
    let leave = async |buyer: &SignedInUser| {
        let path = format!("/api/v1/queue/leave?flashSaleId={sale}");
        HttpReply::send(app.request(Method::DELETE, &path).bearer_auth(&buyer.access)).await
    };
    assert_eq!(leave(&ada).await.status, StatusCode::NO_CONTENT, "an admission can be given back");
    assert_refused(&leave(&ada).await, 404, "not_in_line");
    assert_eq!(position(&app, &ada, &sale).await["status"], "left");
    app.shift_clock(1_000);
    wait_until_admitted(&app, &bob, &sale).await;
    let rejoined = join_line(&app, &ada, &sale).await;
    assert_eq!(rejoined.json()["ticket"], 3, "a buyer who left joins at the end");
    assert_eq!(order(&app, &bob, &sale, 1).await.status, StatusCode::CREATED);
    assert_refused(&join_line(&app, &bob, &sale).await, 409, "limit_reached");
    let open = merchant.sale(&json!({})).await;
    assert_refused(&join_line(&app, &bob, &open).await, 409, "no_line");
    assert_refused(&join_line(&app, &bob, UNKNOWN).await, 404, "sale_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_neither_skip_nor_repeat_while_the_list_grows() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let more = json!({"quantity": 200, "limitPerBuyer": 200, "payment": "none"});
    let sale = merchant.sale(&more).await;
    let mut made = BTreeSet::new();
    for _ in 0..25 {
        made.insert(id(&order(&app, &ada, &sale, 1).await.json()));
    }
    let lists = [
        ("/api/v1/orders".to_owned(), &ada.access),
        ("/api/v1/admin/orders".to_owned(), &merchant.token),
        (format!("/api/v1/admin/flash-sales/{sale}/orders"), &merchant.token),
    ];
    for (path, token) in &lists {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = app.get_as(token, &format!("{path}?limit=4{cursor}")).await.json();
            seen.extend(page["items"].as_array().unwrap().iter().map(id));
            // A newer one comes at the top meanwhile: it is not of the pages that follow.
            order(&app, &ada, &sale, 1).await;
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let distinct: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(distinct.len(), seen.len(), "{path} repeats");
        assert!(made.is_subset(&distinct), "{path} skips");
        made = distinct;
    }
    // The ledger grows at its end, so its pages reach what came meanwhile.
    let path = format!("/api/v1/admin/flash-sales/{sale}/events?limit=7");
    let events = app.read_pages(&merchant.token, &path).await.concat();
    let seqs: Vec<u64> = events.iter().map(|item| item["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert!(seqs.len() > 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_refuses_what_it_does_not_know() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({})).await;
    let own = ["/products", "/flash-sales", "/orders", "/admin/orders"].map(str::to_owned);
    let of_sale =
        ["orders", "queue", "attempts", "events"].map(|page| format!("/admin/flash-sales/{sale}/{page}"));
    for path in own.into_iter().chain(of_sale) {
        for query in [
            "limit=0",
            "limit=201",
            "limit=-1",
            "limit=1e3",
            "limit=",
            "limit=1&limit=2",
            "cursor=",
            "cursor=AAAA",
            "cursor=%ff",
            "colour=red",
        ] {
            let reply = app.get_as(&merchant.token, &format!("/api/v1{path}?{query}")).await;
            assert_refused(&reply, 422, "invalid_query");
            let name = query.split('=').next().unwrap();
            assert_eq!(reply.json()["errors"][0]["pointer"], format!("/{name}"), "{path}?{query}");
        }
        let page = app.get_as(&merchant.token, &format!("/api/v1{path}?limit=200")).await.json();
        assert_has(&page, &["items", "nextCursor"]);
    }
    let reply = app.get_as(&merchant.token, "/api/v1/queue/position").await;
    assert_eq!(reply.json()["errors"], json!([{"pointer": "/flashSaleId", "detail": "is required"}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hundred_and_first_try_to_buy_gets_a_retry_after() {
    // One try comes back each 864 s: none while the test runs.
    let app = TestApp::start_with(&["--limit-buy", "100/1d"]).await;
    let ada = app.register("ada").await;
    let body = json!({"flashSaleId": UNKNOWN});
    for left in (0..100).rev() {
        let reply = app.post_as(&ada.access, "/api/v1/orders", &body).await;
        assert_eq!(reply.problem(), "sale_unknown");
        assert_eq!(reply.header("ratelimit-policy"), r#""buy";q=100;w=86400"#);
        assert!(reply.header("ratelimit").starts_with(&format!(r#""buy";r={left};t="#)), "{reply:?}");
    }
    for path in ["/api/v1/orders", "/api/v1/queue/join"] {
        let reply = app.post_as(&ada.access, path, &body).await;
        assert_refused(&reply, 429, "rate_limited");
        assert!((600..=864).contains(&reply.header("retry-after").parse::<u32>().unwrap()));
    }
    assert_eq!(app.get_as(&ada.access, "/api/v1/orders").await.status, StatusCode::OK, "reads are apart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_leaves_a_line_that_is_named_in_the_query_or_in_a_body() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let line = json!({"admission": {"type": "fifo", "perSecond": 1, "checkoutSeconds": 60}});
    let sale = merchant.sale(&line).await;
    let leave = async |query: &str, body: Option<Value>| {
        let path = format!("/api/v1/queue/leave{query}");
        let request = app.request(Method::DELETE, &path).bearer_auth(&ada.access);
        HttpReply::send(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    };
    let query = format!("?flashSaleId={sale}");
    for (query, body) in [
        ("", Some(json!({"flashSaleId": sale}))),
        (query.as_str(), Some(json!({"flashSaleId": sale}))),
        (query.as_str(), Some(json!({}))),
        (query.as_str(), Some(Value::Null)),
        (query.as_str(), None),
    ] {
        assert_eq!(join_line(&app, &ada, &sale).await.status, StatusCode::CREATED);
        assert_eq!(leave(query, body.clone()).await.status, StatusCode::NO_CONTENT, "{query} {body:?}");
    }
    assert_refused(&leave(&query, Some(json!({"flashSaleId": UNKNOWN}))).await, 400, "bad_request");
    for body in [None, Some(json!({})), Some(Value::Null)] {
        assert_refused(&leave("", body).await, 422, "invalid_query");
    }
    assert_refused(&leave("", Some(json!({"sale": sale}))).await, 422, "invalid_body");
    assert_refused(&leave("", Some(json!({"flashSaleId": "x"}))).await, 422, "invalid_body");
    assert_refused(&leave("", Some(json!({"flashSaleId": UNKNOWN}))).await, 404, "sale_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_found_by_the_slug_of_its_sale() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let fifo = json!({"slug": "first", "admission": {"type": "fifo", "perSecond": 1, "checkoutSeconds": 60}});
    let sale = merchant.sale(&fifo).await;
    let ticket = join_line(&app, &ada, &sale).await.json()["ticket"].clone();
    let find = async |name: &str| {
        app.get_as(&ada.access, &format!("/api/v1/flash-sales/{name}/queue-position")).await
    };
    assert_eq!(find("first").await.json()["ticket"], ticket);
    merchant.patch(&format!("/flash-sales/{sale}"), &json!({"slug": "second"})).await;
    for name in ["first", "second", &sale] {
        assert_eq!(find(name).await.json()["ticket"], ticket, "{name}");
    }
    assert_refused(&find("third").await, 404, "sale_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_says_when_it_was_made_and_when_it_changed() {
    let app = TestApp::start().await;
    let registered = app
        .post(
            "/api/v1/auth/register",
            &json!({"email": "ada@example.com", "username": "ada", "password": PASSWORD}),
        )
        .await
        .json();
    let user = &registered["user"];
    assert_eq!(user["createdAt"], user["updatedAt"]);
    app.shift_clock(5_000);
    let token = registered["accessToken"].as_str().unwrap();
    let change = json!({"currentPassword": PASSWORD, "newPassword": "another horse battery"});
    let changed = app.post_as(token, "/api/v1/auth/password", &change).await.json();
    assert_eq!(changed["user"]["createdAt"], user["createdAt"]);
    assert!(changed["user"]["updatedAt"].as_str() > user["updatedAt"].as_str(), "{changed}");
    let me = app.get_as(changed["accessToken"].as_str().unwrap(), "/api/v1/auth/me").await.json();
    assert_eq!(me, changed["user"]);
    app.shift_clock(5_000);
    let boss = app.admin().await.access;
    let path = format!("/api/v1/admin/accounts/{}/role", user["id"].as_str().unwrap());
    let promoted = app.post_as(&boss, &path, &json!({"role": "admin"})).await.json();
    assert!(promoted["updatedAt"].as_str() > me["updatedAt"].as_str(), "{promoted}");
    let again = app.post_as(&boss, &path, &json!({"role": "admin"})).await.json();
    assert_eq!(again["updatedAt"], promoted["updatedAt"], "it had the role already");
}
