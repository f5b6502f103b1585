//! Paying and refunding over HTTP. Crashes, lost replies and races are in `tests/payments`, below HTTP.

use crate::merchant::{Merchant, eur, id, order};
use crate::support::{HttpReply, SignedInUser, TestApp};
use reqwest::Method;
use serde_json::{Value, json};
use server::store::payments;
use std::cell::Cell;
use test_servers::wait::{HANG_LIMIT, eventually, eventually_some};

const HOLD_S: i64 = 60;

async fn sale(app: &TestApp, quantity: u32) -> String {
    let rules = json!({"price": eur(4999), "quantity": quantity, "limitPerBuyer": 2, "holdSeconds": HOLD_S});
    Merchant::sign_in(app).await.sale(&rules).await
}

async fn hold(app: &TestApp, buyer: &SignedInUser, sale: &str, quantity: u32) -> String {
    let reply = order(app, buyer, sale, quantity).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    id(&reply.json())
}

async fn pay(app: &TestApp, buyer: &SignedInUser, order: &str, method: &str, key: Option<&str>) -> HttpReply {
    let mut request =
        app.request(Method::POST, &format!("/api/v1/orders/{order}/pay")).bearer_auth(&buyer.access);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    HttpReply::send(request.json(&json!({"method": method}))).await
}

async fn find(app: &TestApp, buyer: &SignedInUser, order: &str) -> Value {
    app.get_as(&buyer.access, &format!("/api/v1/orders/{order}")).await.json()
}

async fn status(app: &TestApp, buyer: &SignedInUser, order: &str) -> Value {
    app.get_as(&buyer.access, &format!("/api/v1/orders/{order}")).await.json()["status"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_paid_once_and_confirmed_twice() {
    let app = TestApp::start().await;
    let sale = sale(&app, 5).await;
    let (anna, bert) = (app.register("anna").await, app.register("bert").await);
    let order = hold(&app, &anna, &sale, 2).await;
    assert_eq!(pay(&app, &bert, &order, "sandbox:approve", None).await.problem(), "order_unknown");
    let first = pay(&app, &anna, &order, "sandbox:approve", Some("\"k-1\"")).await;
    assert_eq!(first.status, 200, "{first:?}");
    let body = first.json();
    assert_eq!(body["status"], "confirmed");
    assert_eq!(body["total"], json!({"amount": 9998, "currency": "EUR"}));
    assert_eq!(body["payment"]["status"], "captured");
    assert_eq!(body["payment"]["amount"], body["total"]);
    let again = pay(&app, &anna, &order, "sandbox:approve", Some("k-1")).await;
    assert_eq!(again.json(), body, "a quoted key is the same as a bare one");
    let reused = pay(&app, &anna, &order, "sandbox:slow", Some("k-1")).await;
    assert_eq!((reused.status.as_u16(), reused.problem().as_str()), (422, "key_reused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_payment_says_why() {
    let app = TestApp::start().await;
    let sale = sale(&app, 1).await;
    let (anna, bert) = (app.register("anna").await, app.register("bert").await);
    let order = hold(&app, &anna, &sale, 1).await;

    let unknown = pay(&app, &anna, &order, "cash", None).await;
    assert_eq!((unknown.status.as_u16(), unknown.problem().as_str()), (422, "invalid_body"));
    assert_eq!(unknown.json()["errors"][0]["pointer"], "/method");
    let long = pay(&app, &anna, &order, &"x".repeat(10_000), None).await;
    assert_eq!(long.json()["errors"][0]["pointer"], "/method");
    let bad_key = pay(&app, &anna, &order, "sandbox:approve", Some(&"k".repeat(256))).await;
    assert_eq!((bad_key.status.as_u16(), bad_key.problem().as_str()), (400, "bad_idempotency_key"));

    let path = format!("/api/v1/orders/{order}/pay");
    let nothing = app.post_as(&anna.access, &path, &json!({})).await;
    assert_eq!((nothing.status.as_u16(), nothing.problem().as_str()), (422, "invalid_body"));
    assert_eq!(nothing.json()["errors"][0]["pointer"], "/method");

    let before = find(&app, &anna, &order).await;
    let declined = pay(&app, &anna, &order, "sandbox:decline", Some("first card")).await;
    assert_eq!((declined.status.as_u16(), declined.problem().as_str()), (402, "payment_declined"));
    assert_eq!(find(&app, &anna, &order).await, before, "the order is held as long as before");
    let again = pay(&app, &anna, &order, "sandbox:decline", Some("first card")).await;
    assert_eq!(again.problem(), "payment_declined");
    app.shift_clock(HOLD_S * 1000);
    let over = pay(&app, &anna, &order, "sandbox:approve", None).await;
    assert_eq!((over.status.as_u16(), over.problem().as_str()), (410, "order_expired"));
    assert_eq!(status(&app, &anna, &order).await, "expired");

    let late = hold(&app, &anna, &sale, 1).await;
    app.shift_clock(HOLD_S * 1000);
    let taken = hold(&app, &bert, &sale, 1).await;
    let reply = pay(&app, &anna, &late, "sandbox:approve", None).await;
    assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (410, "order_expired"));
    assert!(reply.json()["detail"].as_str().unwrap().contains("not charged"));
    assert_eq!(pay(&app, &bert, &taken, "sandbox:approve", None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_settled_by_asking_again() {
    let app = TestApp::start().await;
    let sale = sale(&app, 1).await;
    let anna = app.register("anna").await;
    let order = hold(&app, &anna, &sale, 1).await;
    let lost = pay(&app, &anna, &order, "sandbox:lost", Some("k")).await;
    assert_eq!((lost.status.as_u16(), lost.problem().as_str()), (503, "payment_unknown"));
    assert!(!lost.header("retry-after").is_empty());
    assert_eq!(pay(&app, &anna, &order, "sandbox:lost", Some("k")).await.status, 200);
    assert_eq!(status(&app, &anna, &order).await, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_settled_by_the_next_start() {
    let app = TestApp::start().await;
    let sale = sale(&app, 1).await;
    let anna = app.register("anna").await;
    let order = hold(&app, &anna, &sale, 1).await;
    assert_eq!(pay(&app, &anna, &order, "sandbox:lost", None).await.status, 503);
    let app = app.restart().await;
    let is_settled = async || status(&app, &anna, &order).await == "confirmed";
    eventually("the reconciler settles it", HANG_LIMIT, is_settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_not_cancelled_while_a_slow_bank_thinks() {
    let app = TestApp::start().await;
    let anna = app.register("anna").await;
    // The bank takes three seconds; a machine that is slower tries again.
    eventually("both ask while the bank thinks", HANG_LIMIT, async || {
        let sale = sale(&app, 1).await;
        let order = hold(&app, &anna, &sale, 1).await;
        let has_reply = Cell::new(false);
        let paying = async {
            let reply = pay(&app, &anna, &order, "sandbox:slow", None).await;
            has_reply.set(true);
            reply
        };
        let asking = async {
            let id = order.parse().unwrap();
            let store = &app.instance.app.shop.store;
            let has_begun =
                async || has_reply.get() || payments::find_live(store, id).await.unwrap().is_some();
            eventually("the payment has begun", HANG_LIMIT, has_begun).await;
            let second = pay(&app, &anna, &order, "sandbox:approve", None).await;
            let path = format!("/api/v1/orders/{order}");
            let cancel = HttpReply::send(app.request(Method::DELETE, &path).bearer_auth(&anna.access)).await;
            (second, cancel, !has_reply.get())
        };
        let (paid, (second, cancel, is_in_time)) = tokio::join!(paying, asking);
        if is_in_time {
            assert_eq!(second.problem(), "request_in_flight", "{second:?}");
            assert_eq!((cancel.status.as_u16(), cancel.problem().as_str()), (409, "order_paying"));
        }
        assert_eq!((paid.status.as_u16(), &paid.json()["status"]), (200, &json!("confirmed")), "{paid:?}");
        is_in_time
    })
    .await;
}

/// Asks for an order in every way until it is confirmed; nothing ever says that it is over.
async fn wait_until_confirmed(app: &TestApp, merchant: &Merchant<'_>, buyer: &SignedInUser, order: &str) {
    eventually("the order is confirmed", HANG_LIMIT, async || {
        let own = find(app, buyer, order).await;
        let list = app.get_as(&buyer.access, "/api/v1/orders").await.json()["items"][0].clone();
        for shown in [&own, &list] {
            let expected = if shown["paying"] == json!(true) { "pending" } else { "confirmed" };
            assert_eq!(shown["status"], expected, "{shown}");
        }
        // The tables may be a moment behind.
        let all = merchant.get("/orders").await["items"][0].clone();
        assert!([json!("pending"), json!("confirmed")].contains(&all["status"]), "{all}");
        own["status"] == "confirmed" && all["status"] == "confirmed"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paying_longer_than_the_hold_never_says_that_it_is_over() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = sale(&app, 4).await;
    let ada = app.register("ada").await;
    let made = hold(&app, &ada, &sale, 1).await;
    let before = find(&app, &ada, &made).await;
    assert_eq!((&before["paying"], &before["paymentRequired"]), (&json!(false), &json!(true)));
    // The bank takes three seconds, and meanwhile the hold ends.
    let asking = async {
        let has_begun = async || find(&app, &ada, &made).await != before;
        eventually("the payment has begun", HANG_LIMIT, has_begun).await;
        app.shift_clock(HOLD_S * 1000);
        wait_until_confirmed(&app, &merchant, &ada, &made).await;
    };
    let (paid, ()) = tokio::join!(pay(&app, &ada, &made, "sandbox:slow", None), asking);
    assert_eq!((&paid.json()["status"], &paid.json()["paying"]), (&json!("confirmed"), &json!(false)));
    let events = merchant.get(&format!("/flash-sales/{sale}/events?limit=100")).await;
    let kinds: Vec<&str> =
        events["items"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["configured", "held", "payment_begun", "confirmed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_keeps_the_hold_until_it_is_settled() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let rules = json!({"quantity": 2, "limitPerBuyer": 1, "holdSeconds": HOLD_S});
    let sale = merchant.sale(&rules).await;
    let ada = app.register("ada").await;
    let made = hold(&app, &ada, &sale, 1).await;
    let before = find(&app, &ada, &made).await;
    let lost = pay(&app, &ada, &made, "sandbox:lost", None).await;
    assert_eq!((lost.status.as_u16(), lost.problem().as_str()), (503, "payment_unknown"));
    let shown = find(&app, &ada, &made).await;
    assert_eq!((&shown["status"], &shown["paying"]), (&json!("pending"), &json!(true)));
    assert_eq!((&shown["expiresAt"], &shown["updatedAt"]), (&before["expiresAt"], &before["updatedAt"]));
    let path = format!("/api/v1/orders/{made}");
    let cancel = HttpReply::send(app.request(Method::DELETE, &path).bearer_auth(&ada.access)).await;
    assert_eq!((cancel.status.as_u16(), cancel.problem().as_str()), (409, "order_paying"));
    eventually("the tables say so", HANG_LIMIT, async || {
        let all = merchant.get("/orders").await["items"][0].clone();
        all["paying"] == json!(true) || all["status"] == "confirmed"
    })
    .await;
    // The hold is over, and the reconciler is about to come by.
    app.shift_clock(HOLD_S * 1000);
    assert_eq!(order(&app, &ada, &sale, 1).await.problem(), "limit_reached", "it is the buyer's");
    wait_until_confirmed(&app, &merchant, &ada, &made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_paid_here_says_so_and_is_no_revenue() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = merchant.sale(&json!({"payment": "none", "limitPerBuyer": 2})).await;
    let shown = app.get(&format!("/api/v1/flash-sales/{sale}")).await.json();
    assert_eq!((&shown["payment"], &shown["holdSeconds"]), (&json!("none"), &json!(0)));
    let made = order(&app, &ada, &sale, 2).await.json();
    assert_eq!((&made["status"], &made["paymentRequired"]), (&json!("confirmed"), &json!(false)));
    let path = format!("/flash-sales/{sale}/overview");
    let overview = eventually_some("the tables", HANG_LIMIT, async || {
        Some(merchant.get(&path).await).filter(|overview| overview["projectionLag"] == 0)
    })
    .await;
    assert_eq!(overview["revenue"]["amount"], 0, "{overview}");
    assert_eq!(overview["orders"][0]["total"]["amount"], 2 * 2999, "{overview}");
    let summary = merchant.get(&format!("/flash-sales/{sale}/summary")).await;
    assert_eq!(summary["revenue"]["amount"], 0, "{summary}");
    let listed = merchant.get("/orders").await["items"][0].clone();
    assert_eq!((&listed["paymentRequired"], listed.get("paidAt")), (&json!(false), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_of_another_provider_takes_no_method_of_the_sandbox() {
    let app = TestApp::start().await;
    let sale = sale(&app, 1).await;
    let ada = app.register("ada").await;
    let made = hold(&app, &ada, &sale, 1).await;
    let other = "UPDATE sales SET provider = 'other'";
    sqlx::query(other).execute(&app.database().await).await.unwrap();
    let app = app.restart().await;
    let refused = pay(&app, &ada, &made, "sandbox:approve", None).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (422, "invalid_body"));
    let shown = find(&app, &ada, &made).await;
    assert_eq!((&shown["status"], &shown["paying"]), (&json!("pending"), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_costs_nothing_needs_no_card() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let free = merchant.sale(&json!({"price": eur(0)})).await;
    let made = hold(&app, &ada, &free, 1).await;
    let paid = app.post_as(&ada.access, &format!("/api/v1/orders/{made}/pay"), &json!({})).await;
    assert_eq!((paid.status.as_u16(), &paid.json()["status"]), (200, &json!("confirmed")), "{paid:?}");
    assert_eq!(paid.json().get("payment"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_refunds_an_order_once() {
    let app = TestApp::start().await;
    let sale = sale(&app, 1).await;
    let (anna, admin) = (app.register("anna").await, app.admin().await);
    let order = hold(&app, &anna, &sale, 1).await;
    let path = format!("/api/v1/admin/orders/{order}/refund");
    let early = app.post_as(&admin.access, &path, &json!({"restock": true})).await;
    assert_eq!((early.status.as_u16(), early.problem().as_str()), (409, "order_state"));
    assert_eq!(pay(&app, &anna, &order, "sandbox:approve", None).await.status, 200);
    assert_eq!(app.post_as(&anna.access, &path, &json!({"restock": true})).await.problem(), "forbidden");
    let first = app.post_as(&admin.access, &path, &json!({"restock": true})).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(
        (&first.json()["status"], &first.json()["payment"]["status"]),
        (&json!("refunded"), &json!("refunded"))
    );
    let again = app.post_as(&admin.access, &path, &json!({"restock": false})).await;
    assert_eq!(again.json(), first.json());
    hold(&app, &app.register("bert").await, &sale, 1).await;
}

/// A page as a browser gets it.
async fn visit(app: &TestApp, method: Method, path: &str) -> (u16, String, String, String) {
    let response = app.request(method, path).header("accept", "text/html").send().await.unwrap();
    let header = |name: &str| {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let (status, location, policy) =
        (response.status().as_u16(), header("location"), header("content-security-policy"));
    (status, location, policy, response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_pays_on_the_sandboxs_page_and_comes_back() {
    for (decision, expected) in [("approve", "confirmed"), ("decline", "pending")] {
        let app = TestApp::start().await;
        let sale = sale(&app, 5).await;
        let anna = app.register("anna").await;
        let order = hold(&app, &anna, &sale, 2).await;
        let before = find(&app, &anna, &order).await;
        let opened = pay(&app, &anna, &order, "sandbox:redirect", Some("k")).await;
        assert_eq!(opened.status, 200, "{opened:?}");
        let opened = opened.json();
        assert_eq!((&opened["status"], &opened["paying"]), (&json!("pending"), &json!(false)));
        assert_eq!(opened["payment"]["status"], "open");
        let payment = opened["payment"]["id"].as_str().unwrap();
        let page = format!("/sandbox/pay/{payment}");
        assert_eq!(opened["nextAction"], json!({"type": "redirect", "url": page}));
        assert_eq!(find(&app, &anna, &order).await, before, "the order is held as long as before");
        // The order was looked at, for which the bank is asked in the background: the payment may be busy.
        let again = eventually_some("the payment is free", HANG_LIMIT, async || {
            let reply = pay(&app, &anna, &order, "sandbox:redirect", Some("k")).await;
            let is_early = reply.status == 409 && reply.problem() == "request_in_flight";
            (!is_early).then_some(reply)
        })
        .await;
        assert_eq!(again.json()["nextAction"], opened["nextAction"], "the same page");

        let (code, _, policy, html) = visit(&app, Method::GET, &page).await;
        assert_eq!(code, 200);
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(html.contains("99.98 EUR") && !html.contains("<script"), "{html}");
        let (code, back, ..) = visit(&app, Method::POST, &format!("{page}/{decision}")).await;
        assert_eq!((code, back.as_str()), (303, format!("/pay/return/{payment}").as_str()));
        let (code, to, ..) = visit(&app, Method::GET, &back).await;
        assert_eq!((code, to.split('?').next().unwrap()), (303, format!("/orders/{order}").as_str()));
        eventually("the order shows the bank's answer", HANG_LIMIT, async || {
            let now = find(&app, &anna, &order).await;
            now["status"] == expected && payment_state(&app, payment).await.is_settled()
        })
        .await;
        let over = visit(&app, Method::POST, &format!("{page}/approve")).await;
        assert_eq!(over.0, 303);
        assert_eq!(status(&app, &anna, &order).await, expected, "what is decided stays");
    }
}

async fn payment_state(app: &TestApp, payment: &str) -> payments::PaymentState {
    let store = &app.instance.app.shop.store;
    payments::find(store, payment.parse().unwrap()).await.unwrap().unwrap().state
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_payments_that_are_none_are_not_found() {
    let app = TestApp::start().await;
    let sale = sale(&app, 1).await;
    let anna = app.register("anna").await;
    let order = hold(&app, &anna, &sale, 1).await;
    let paid = pay(&app, &anna, &order, "sandbox:approve", None).await.json();
    let without_page = paid["payment"]["id"].as_str().unwrap().to_owned();
    let unknown = "0190f3a4-0000-7000-8000-000000000000".to_owned();
    for id in [&unknown, &without_page, &"x".to_owned()] {
        // 503 says that this build has no pages.
        let (code, ..) = visit(&app, Method::GET, &format!("/sandbox/pay/{id}")).await;
        assert!(matches!(code, 404 | 503), "{id}: {code}");
        let (code, ..) = visit(&app, Method::POST, &format!("/sandbox/pay/{id}/approve")).await;
        assert_eq!(code, 404, "{id}");
    }
    let (code, ..) = visit(&app, Method::POST, &format!("/sandbox/pay/{unknown}/burn")).await;
    assert_eq!(code, 404);
    for id in [&unknown, &"x".to_owned()] {
        let (code, ..) = visit(&app, Method::GET, &format!("/pay/return/{id}")).await;
        assert!(matches!(code, 404 | 503), "{id}: {code}");
    }
    // Of a settled payment nothing is asked.
    let (code, to, ..) = visit(&app, Method::GET, &format!("/pay/return/{without_page}")).await;
    assert_eq!((code, to), (303, format!("/orders/{order}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_cancelled_closes_its_page() {
    let app = TestApp::start().await;
    let sale = sale(&app, 1).await;
    let anna = app.register("anna").await;
    let order = hold(&app, &anna, &sale, 1).await;
    let opened = pay(&app, &anna, &order, "sandbox:redirect", None).await.json();
    let payment = opened["payment"]["id"].as_str().unwrap();
    let cancelled = app.request(Method::DELETE, &format!("/api/v1/orders/{order}")).bearer_auth(&anna.access);
    assert_eq!(HttpReply::send(cancelled).await.status, 200);
    eventually("the page is closed", HANG_LIMIT, async || {
        payment_state(&app, payment).await == payments::PaymentState::Voided
    })
    .await;
    visit(&app, Method::POST, &format!("/sandbox/pay/{payment}/approve")).await;
    assert_eq!(status(&app, &anna, &order).await, "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_refunded_and_the_order_stays_confirmed() {
    let app = TestApp::start().await;
    let sale = sale(&app, 1).await;
    let anna = app.register("anna").await;
    let order = hold(&app, &anna, &sale, 1).await;
    assert_eq!(pay(&app, &anna, &order, "sandbox:approve", None).await.status, 200);
    let admin = app.admin().await;
    let refund = async |body: Value, key: Option<&str>| {
        let path = format!("/api/v1/admin/orders/{order}/refund");
        let mut request = app.request(Method::POST, &path).bearer_auth(&admin.access);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        HttpReply::send(request.json(&body)).await
    };
    for bad in [
        json!({"amount": eur(0), "restock": false}),
        json!({"amount": eur(-1), "restock": false}),
        json!({"amount": eur(1), "restock": true}),
        json!({"amount": 1, "restock": false}),
        json!({"amount": eur(1)}),
    ] {
        let reply = refund(bad.clone(), None).await;
        assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (422, "invalid_body"), "{bad}");
    }
    let too_much = refund(json!({"amount": eur(5_000), "restock": false}), None).await;
    assert_eq!((too_much.status.as_u16(), too_much.problem().as_str()), (409, "refund_too_high"));
    assert_eq!(too_much.json()["left"], 4_999);
    for _ in 0..2 {
        let done = refund(json!({"amount": eur(1_000), "restock": false}), Some("k")).await;
        assert_eq!(done.status, 200, "{done:?}");
        let done = done.json();
        assert_eq!((&done["status"], &done["payment"]["status"]), (&json!("confirmed"), &json!("captured")));
        assert_eq!(done["payment"]["refunded"], eur(1_000));
    }
    for path in ["overview", "summary"] {
        let path = format!("/api/v1/admin/flash-sales/{sale}/{path}");
        eventually("the part is no revenue", HANG_LIMIT, async || {
            app.get_as(&admin.access, &path).await.json()["revenue"] == eur(3_999)
        })
        .await;
    }
    let rest = refund(json!({"restock": true}), None).await.json();
    assert_eq!((&rest["status"], &rest["payment"]["refunded"]), (&json!("refunded"), &eur(4_999)));
}
