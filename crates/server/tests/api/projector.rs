//! What the tables show: an admin sees what buyers did, at once, and after a restart too.

use crate::merchant::{Merchant, eur, id, order};
use crate::support::{HttpReply, TestApp};
use reqwest::{Method, StatusCode};
use sale::{Event, EventSeq, LedgerEntry, SaleId, UnitSource};
use serde_json::{Value, json};
use test_servers::wait::{HANG_LIMIT, eventually};

fn column(page: &Value, name: &str) -> Vec<Value> {
    page["items"].as_array().unwrap().iter().map(|item| item[name].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_sees_orders_as_soon_as_they_are_made() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"payment": "none", "limitPerBuyer": 3})).await;
    let held = merchant.sale(&json!({"limitPerBuyer": 3})).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    let first = id(&order(&app, &ada, &sale, 2).await.json());
    let second = id(&order(&app, &bob, &sale, 1).await.json());
    let third = id(&order(&app, &ada, &held, 1).await.json());

    let all = merchant.get("/orders").await;
    assert_eq!(column(&all, "id"), [json!(third), json!(second), json!(first)]);
    let last = &all["items"][2];
    assert_eq!((&last["unitPrice"], &last["total"]), (&eur(2999), &eur(5998)));
    assert_eq!(last["buyer"], json!({"id": ada.id, "email": "ada@example.com", "username": "ada"}));
    for (filter, expected) in [
        ("status=confirmed".to_owned(), vec![&second, &first]),
        ("buyer=ADA@example.com".to_owned(), vec![&third, &first]),
        (format!("buyer={}", bob.id), vec![&second]),
        (format!("flashSaleId={sale}"), vec![&second, &first]),
        (format!("flashSaleId={sale}&status=pending"), vec![]),
        ("buyer=nobody@example.com".to_owned(), vec![]),
    ] {
        let page = merchant.get(&format!("/orders?{filter}")).await;
        let expected: Vec<Value> = expected.into_iter().map(|id| json!(id)).collect();
        assert_eq!(column(&page, "id"), expected, "{filter}");
    }
    let page = merchant.get(&format!("/flash-sales/{held}/orders?status=pending")).await;
    assert_eq!(column(&page, "id"), [json!(third)]);
    let page = merchant.get("/orders?limit=2").await;
    let next =
        merchant.get(&format!("/orders?limit=2&cursor={}", page["nextCursor"].as_str().unwrap())).await;
    assert_eq!(column(&next, "id"), [json!(first)]);
    for bad in ["status=lost", "limit=0", "cursor=%21", "colour=red", "flashSaleId=7"] {
        let reply = app.get_as(&merchant.token, &format!("/api/v1/admin/orders?{bad}")).await;
        assert_eq!(reply.problem(), "invalid_query", "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_adds_up() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 2, "quantity": 4})).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    let paid = id(&order(&app, &ada, &sale, 2).await.json());
    let pay = json!({"method": "sandbox:approve"});
    let reply = app.post_as(&ada.access, &format!("/api/v1/orders/{paid}/pay"), &pay).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    order(&app, &bob, &sale, 1).await;
    assert_eq!(order(&app, &ada, &sale, 1).await.problem(), "limit_reached");

    let overview = merchant.get(&format!("/flash-sales/{sale}/overview")).await;
    let units: Vec<&Value> =
        ["quantity", "available", "admitted", "held", "sold"].map(|name| &overview["sale"][name]).into();
    assert_eq!(units, [4, 1, 0, 1, 2]);
    assert_eq!(overview["revenue"], eur(5998));
    assert_eq!(
        overview["orders"][0],
        json!({"status": "confirmed", "orders": 1, "units": 2, "total": eur(5998)})
    );
    assert_eq!(
        overview["orders"][1],
        json!({"status": "pending", "orders": 1, "units": 1, "total": eur(2999)})
    );
    assert_eq!((&overview["ordersLastMinute"], &overview["projectionLag"]), (&json!(2), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_is_shown_in_order_and_in_pages() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let fifo = json!({"quantity": 1, "admission": {"type": "fifo", "perSecond": 10, "checkoutSeconds": 600}});
    let sale = merchant.sale(&fifo).await;
    for name in ["ada", "bob", "cyd"] {
        let buyer = app.register(name).await;
        let reply = app.post_as(&buyer.access, "/api/v1/queue/join", &json!({"flashSaleId": sale})).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    }
    let page = merchant.get(&format!("/flash-sales/{sale}/queue?limit=2")).await;
    assert_eq!(column(&page, "ticket"), [1, 2]);
    assert_eq!(column(&page, "status"), ["admitted", "waiting"]);
    assert_eq!(page["items"][1]["position"], 1);
    assert_eq!(page["items"][0]["buyer"]["username"], "ada");
    assert!(page["items"][0]["admittedUntil"].is_string());
    let cursor = page["nextCursor"].as_str().unwrap();
    let next = merchant.get(&format!("/flash-sales/{sale}/queue?cursor={cursor}")).await;
    assert_eq!((column(&next, "ticket"), &next["nextCursor"]), (vec![json!(3)], &json!(null)));
    let attempts = merchant.get(&format!("/flash-sales/{sale}/attempts")).await;
    assert_eq!(column(&attempts, "code"), ["accepted"; 3]);
    assert_eq!((&attempts["countedOnly"], &attempts["note"]), (&json!(0), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_shown_event_by_event_also_after_a_restart() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({})).await;
    let buyer = app.register("ada").await;
    let made = id(&order(&app, &buyer, &sale, 1).await.json());
    let app = app.restart().await;
    let merchant = Merchant::sign_in(&app).await;
    merchant.post(&format!("/flash-sales/{sale}/restock"), &json!({"quantity": 3})).await;
    let page = merchant.get(&format!("/flash-sales/{sale}/events")).await;
    assert_eq!(column(&page, "kind"), ["configured", "held", "restocked"]);
    assert_eq!(column(&page, "seq"), [1, 2, 3]);
    let held = &page["items"][1];
    let expected = (&json!(made), &json!(buyer.id), &json!(1), &json!("stock"));
    assert_eq!((&held["orderId"], &held["buyerId"], &held["quantity"], &held["from"]), expected);
    assert_eq!(page["items"][0]["price"], eur(2999));
    let page = merchant.get(&format!("/flash-sales/{sale}/events?limit=1")).await;
    let cursor = page["nextCursor"].as_str().unwrap();
    let next = merchant.get(&format!("/flash-sales/{sale}/events?cursor={cursor}")).await;
    assert_eq!(column(&next, "seq"), [2, 3]);
    let orders = merchant.get("/orders").await;
    assert_eq!(column(&orders, "id"), [json!(made)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_can_be_rebuilt_from_what_the_api_tells() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let line = json!({"type": "fifo", "perSecond": 9, "checkoutSeconds": 60, "lineOpensSecondsBefore": 7});
    let sale = merchant.sale(&json!({"admission": line})).await;
    let buyer = app.register("ada").await;
    app.post_as(&buyer.access, "/api/v1/queue/join", &json!({"flashSaleId": sale})).await;
    let body = json!({"flashSaleId": sale, "quantity": 1});
    let request = app.request(Method::POST, "/api/v1/orders").bearer_auth(&buyer.access).json(&body);
    let made = HttpReply::send(request.header("idempotency-key", "k1")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let made = id(&made.json());
    let (path, method) = (format!("/api/v1/orders/{made}/pay"), json!({"method": "sandbox:approve"}));
    let declined = app.post_as(&buyer.access, &path, &json!({"method": "sandbox:decline"})).await;
    assert_eq!(declined.problem(), "payment_declined");
    assert_eq!(app.post_as(&buyer.access, &path, &method).await.status, StatusCode::OK);
    merchant.post(&format!("/flash-sales/{sale}/pause"), &json!({})).await;

    let page = merchant.get(&format!("/flash-sales/{sale}/events")).await;
    let reply: Vec<LedgerEntry> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| rehearsal::ledger::parse(item).unwrap())
        .collect();
    let id = SaleId(sale.parse().unwrap());
    let recorded = app.instance.app.shop.engine.ledger().read_entries(id, EventSeq(0), 100).await.unwrap();
    assert_eq!(reply, recorded);
    let paying = ["payment_begun", "payment_ended", "payment_begun", "confirmed"];
    let kinds = [&["configured", "joined", "admitted", "held"][..], &paying, &["paused"]].concat();
    assert_eq!(column(&page, "kind"), kinds);
    let Event::Held { from, key, .. } = reply[3].event else { panic!("{:?}", reply[3]) };
    assert!(matches!(from, UnitSource::Admission { .. }) && key.is_some(), "{:?}", reply[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_sees_an_order_at_once_and_what_became_of_it() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"holdSeconds": 30, "limitPerBuyer": 50, "quantity": 50})).await;
    let buyer = app.register("ada").await;
    for n in 1..=20 {
        let made = id(&order(&app, &buyer, &sale, 1).await.json());
        let own = app.get_as(&buyer.access, "/api/v1/orders?limit=200").await.json();
        assert_eq!(column(&own, "id").len(), n);
        assert_eq!(own["items"][0]["id"], json!(made));
    }
    app.shift_clock(31_000);
    let path = format!("/flash-sales/{sale}/orders?status=expired");
    eventually("the holds expire in the tables", HANG_LIMIT, async || {
        column(&merchant.get(&path).await, "id").len() == 20
    })
    .await;
}
