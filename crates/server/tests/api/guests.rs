//! Buyers without an account: a buyer for each visit, one limit for an address, and an order that is found by its id and the address.

use crate::merchant::{Merchant, id, order};
use crate::support::{HttpReply, TestApp};
use futures::future::join_all;
use serde_json::{Value, json};
use server::store::guest_orders;
use test_servers::postgres::PostgresServer;
use uuid::Uuid;

const FLAGS: [&str; 4] = ["--limits", "off", "--guests", "on"];

/// The token and the id of a new guest.
async fn visit(app: &TestApp, email: &str) -> (String, String) {
    let reply = app.post("/api/v1/auth/guest", &json!({"email": email})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let body = reply.json();
    assert_eq!(body["user"]["email"], email.to_lowercase());
    assert!(body["expiresIn"].as_i64().unwrap() > 0, "{body}");
    (body["accessToken"].as_str().unwrap().to_owned(), body["user"]["id"].as_str().unwrap().to_owned())
}

async fn buy(app: &TestApp, token: &str, sale: &str, quantity: u32) -> HttpReply {
    app.post_as(token, "/api/v1/orders", &json!({"flashSaleId": sale, "quantity": quantity})).await
}

async fn orders(app: &TestApp, token: &str) -> Vec<Value> {
    app.get_as(token, "/api/v1/orders").await.json()["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_a_new_buyer_each_time_and_sees_only_the_orders_of_the_visit() {
    let app = TestApp::start_with(&FLAGS).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 2})).await;
    let (first, first_id) = visit(&app, "Ada@Example.com").await;
    let (second, second_id) = visit(&app, "ada@example.com").await;
    assert_ne!(first_id, second_id);
    let bought = buy(&app, &first, &sale, 1).await;
    assert_eq!(bought.status, 201, "{bought:?}");
    assert_eq!(orders(&app, &first).await.len(), 1);
    assert!(orders(&app, &second).await.is_empty(), "whoever knows an address does not get its orders");
    let path = format!("/api/v1/orders/{}", id(&bought.json()));
    assert_eq!(app.get_as(&second, &path).await.problem(), "order_unknown");

    let me = app.get_as(&first, "/api/v1/auth/me").await.json();
    assert_eq!((me["id"].as_str().unwrap(), &me["email"]), (first_id.as_str(), &json!("ada@example.com")));
    let registered = app.register("ada").await;
    assert!(orders(&app, &registered.access).await.is_empty(), "nor does an account of the address");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_guests_of_an_address_share_a_limit() {
    let app = TestApp::start_with(&FLAGS).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 3, "quantity": 50})).await;
    let (first, _) = visit(&app, "ada@example.com").await;
    assert_eq!(buy(&app, &first, &sale, 2).await.status, 201);
    let (second, _) = visit(&app, "ADA@example.com").await;
    assert_eq!(buy(&app, &second, &sale, 2).await.problem(), "limit_reached");
    let last = buy(&app, &second, &sale, 1).await;
    assert_eq!(last.status, 201, "{last:?}");
    assert_eq!(buy(&app, &first, &sale, 1).await.problem(), "limit_reached");
    let (other, _) = visit(&app, "bob@example.com").await;
    assert_eq!(buy(&app, &other, &sale, 3).await.status, 201);
    // What is given back may be bought again, by any of them.
    let cancelled = app
        .request(reqwest::Method::DELETE, &format!("/api/v1/orders/{}", id(&last.json())))
        .bearer_auth(&second)
        .send()
        .await
        .unwrap();
    assert_eq!(cancelled.status(), 200);
    assert_eq!(buy(&app, &first, &sale, 1).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_visits_at_once_get_no_more_than_the_limit() {
    let app = TestApp::start_with(&FLAGS).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 3, "quantity": 50})).await;
    let visits = join_all((0..10).map(|_| visit(&app, "eve@example.com"))).await;
    let replies = join_all(visits.iter().map(|(token, _)| buy(&app, token, &sale, 1))).await;
    let bought = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(bought, 3, "{replies:?}");
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        assert_eq!(reply.problem(), "limit_reached");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_of_many_addresses_order_at_once_where_each_needs_a_connection_for_its_lock() {
    let database = PostgresServer::shared().create_database();
    let app = TestApp::start_with(&[&FLAGS[..], &["--database", &database]].concat()).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 1, "quantity": 24})).await;
    let visits =
        join_all((0..24).map(async |no| visit(&app, &format!("guest{no}@example.com")).await.0)).await;
    let replies = join_all(visits.iter().map(|token| buy(&app, token, &sale, 1))).await;
    for reply in replies {
        assert_eq!(reply.status, 201, "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_of_an_address_whose_first_order_is_refused_are_not_kept() {
    let app = TestApp::start_with(&FLAGS).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 2, "quantity": 50})).await;
    let (first, _) = visit(&app, "eve@example.com").await;
    assert_eq!(buy(&app, &first, &sale, 2).await.status, 201);
    for _ in 0..20 {
        let (token, _) = visit(&app, "eve@example.com").await;
        assert_eq!(buy(&app, &token, &sale, 1).await.problem(), "limit_reached");
    }
    let store = &app.instance.app.shop.store;
    let kept = guest_orders::list(store, sale.parse().unwrap(), "eve@example.com", 100).await.unwrap();
    assert_eq!(kept.len(), 1, "the buyer of the units");
    // What the law refuses is not kept either.
    let (other, _) = visit(&app, "bob@example.com").await;
    assert_eq!(buy(&app, &other, &sale, 3).await.problem(), "limit_reached");
    assert!(
        guest_orders::list(store, sale.parse().unwrap(), "bob@example.com", 100).await.unwrap().is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_found_by_its_id_and_the_address_of_its_guest() {
    let app = TestApp::start_with(&FLAGS).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({})).await;
    let (token, _) = visit(&app, "ada@example.com").await;
    let bought = buy(&app, &token, &sale, 1).await.json();
    let find = async |email: &str, order: &str| {
        app.post("/api/v1/orders/find", &json!({"email": email, "order": order})).await
    };
    let found = find(" ada@example.com ".trim(), &id(&bought)).await;
    assert_eq!(found.status, 200, "{found:?}");
    assert_eq!(found.json()["id"], bought["id"]);
    assert_eq!(find("ADA@EXAMPLE.COM", &id(&bought)).await.status, 200);
    let ada = app.register("ada").await;
    let of_account = order(&app, &ada, &sale, 1).await;
    for (email, order) in [
        ("bob@example.com", id(&bought)),
        ("ada@example.com", Uuid::nil().to_string()),
        ("ada@example.com", "12".to_owned()),
        ("ada@example.com", id(&of_account.json())),
    ] {
        assert_eq!(find(email, &order).await.problem(), "order_unknown", "{email} {order}");
    }
    assert_eq!(find("ada", &id(&bought)).await.problem(), "invalid_body");

    // It outlives the process.
    let app = app.restart().await;
    let body = json!({"email": "ada@example.com", "order": bought["id"]});
    assert_eq!(app.post("/api/v1/orders/find", &body).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_there_are_no_guests_and_finding_is_limited() {
    let app = TestApp::start_with(&["--limit-auth", "3/1h"]).await;
    let find = json!({"email": "ada@example.com", "order": Uuid::nil()});
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(app.post("/api/v1/orders/find", &find).await.problem());
    }
    assert_eq!(codes, ["order_unknown", "order_unknown", "order_unknown", "rate_limited"]);
    let app = TestApp::start().await;
    let refused = app.post("/api/v1/auth/guest", &json!({"email": "ada@example.com"})).await;
    assert_eq!(refused.problem(), "not_found");
    let wrong = TestApp::start_with(&FLAGS).await;
    for email in ["", "ada", "a@b@c"] {
        let refused = wrong.post("/api/v1/auth/guest", &json!({"email": email})).await;
        assert_eq!(refused.problem(), "invalid_body", "{email}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_counts_mailboxes_counts_those_of_guests() {
    let app = TestApp::start_with(&FLAGS).await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"limitBy": "mailbox"})).await;
    let (first, _) = visit(&app, "eve+1@gmail.com").await;
    let (second, _) = visit(&app, "e.v.e@gmail.com").await;
    assert_eq!(buy(&app, &first, &sale, 1).await.status, 201);
    assert_eq!(buy(&app, &second, &sale, 1).await.problem(), "limit_reached");
}
