//! Sales that count the accounts of one mailbox together for the limit per buyer.

use crate::merchant::{Merchant, assert_refused, join_line, order};
use crate::sharing::second_shop;
use crate::support::{PASSWORD, SignedInUser, TestApp};
use reqwest::StatusCode;
use serde_json::json;
use server::shop::orders::{self, ReservationRequest};

async fn register(app: &TestApp, username: &str, email: &str) -> SignedInUser {
    let body = json!({"email": email, "username": username, "password": PASSWORD});
    let reply = app.post("/api/v1/auth/register", &body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    SignedInUser::from_body(&reply.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_mailbox_buys_with_one_account_where_the_sale_counts_mailboxes() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"limitPerBuyer": 2, "limitBy": "mailbox"})).await;
    let other = merchant.sale(&json!({})).await;
    let (eve, eve2, eve3, ada) = (
        register(&app, "eve", "eve@gmail.com").await,
        register(&app, "eve2", "E.v.e+1@gmail.com").await,
        register(&app, "eve3", "ev.e@googlemail.com").await,
        register(&app, "ada", "eve@example.com").await,
    );
    let shown = app.get(&format!("/api/v1/flash-sales/{sale}")).await.json();
    assert_eq!((&shown["limitBy"], &shown["limitPerBuyer"]), (&json!("mailbox"), &json!(2)));
    assert_eq!(app.get(&format!("/api/v1/flash-sales/{other}")).await.json()["limitBy"], "account");

    assert_eq!(order(&app, &eve2, &sale, 1).await.status, StatusCode::CREATED);
    for buyer in [&eve, &eve3] {
        assert_eq!(order(&app, buyer, &sale, 1).await.problem(), "limit_reached");
        assert_eq!(order(&app, buyer, &other, 1).await.status, StatusCode::CREATED);
    }
    assert_eq!(order(&app, &eve2, &sale, 1).await.status, StatusCode::CREATED, "up to the limit");
    assert_eq!(order(&app, &eve2, &sale, 1).await.problem(), "limit_reached");
    assert_eq!(order(&app, &ada, &sale, 1).await.status, StatusCode::CREATED, "another mailbox");
    let app = app.restart().await;
    assert_eq!(order(&app, &eve, &sale, 1).await.problem(), "limit_reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_mailbox_has_one_place_in_a_line() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let fifo = json!({"type": "fifo", "perSecond": 100, "checkoutSeconds": 600});
    let sale = merchant.sale(&json!({"limitBy": "mailbox", "admission": fifo})).await;
    let (eve, eve2) =
        (register(&app, "eve", "eve@gmail.com").await, register(&app, "eve2", "eve+1@gmail.com").await);
    let join = json!({"flashSaleId": sale});
    let joined = app.post_as(&eve.access, "/api/v1/queue/join", &join).await;
    assert_eq!(joined.status, StatusCode::CREATED, "{joined:?}");
    assert_eq!(app.post_as(&eve2.access, "/api/v1/queue/join", &join).await.problem(), "limit_reached");
    let again = app.post_as(&eve.access, "/api/v1/queue/join", &join).await;
    assert_eq!((again.status, &again.json()["ticket"]), (StatusCode::OK, &joined.json()["ticket"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_accounts_of_a_mailbox_one_buys_however_many_order_at_once_at_two_processes() {
    let app = TestApp::on_postgres().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"limitBy": "mailbox"})).await.parse().unwrap();
    let (here, other) = (&app.instance.app.shop, second_shop(&app).await);
    let mut buyers = Vec::new();
    for n in 0..8 {
        let buyer = register(&app, &format!("eve{n}"), &format!("eve+{n}@gmail.com")).await;
        buyers.push(buyer.id.parse().unwrap());
    }
    let each = buyers.iter().enumerate().map(|(n, buyer)| {
        let shop = if n % 2 == 0 { here.as_ref() } else { &other };
        orders::reserve(shop, ReservationRequest { sale, buyer: *buyer, quantity: 1, key: None })
    });
    let replies = futures::future::join_all(each).await;
    let bought = replies.into_iter().filter(|reply| reply.as_ref().unwrap().is_ok()).count();
    assert_eq!(bought, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_limit_counts_is_said_once() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let product = merchant.product("A lamp").await;
    let reply =
        merchant.post("/flash-sales", &merchant.sale_body(&product, &json!({"limitBy": "house"}))).await;
    assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (422, "invalid_body"));
    assert_eq!(reply.json()["errors"][0]["pointer"], "/limitBy");
    let sale = merchant.sale(&json!({})).await;
    let edit = merchant.patch(&format!("/flash-sales/{sale}"), &json!({"limitBy": "mailbox"})).await;
    assert_eq!(edit.problem(), "invalid_body", "it is not a field of an edit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_order_takes_the_mailbox_from_nobody() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let fifo = json!({"type": "fifo", "perSecond": 10, "checkoutSeconds": 60});
    let sale = merchant.sale(&json!({"limitBy": "mailbox", "admission": fifo})).await;
    let stranger = register(&app, "eve1", "e.v.e@gmail.com").await;
    let owner = register(&app, "eve2", "eve+1@gmail.com").await;
    assert_refused(&order(&app, &stranger, &sale, 1).await, 403, "not_in_line");
    let joined = join_line(&app, &owner, &sale).await;
    assert_eq!(joined.status, 201, "{joined:?}");
    assert_refused(&join_line(&app, &stranger, &sale).await, 409, "limit_reached");
}
