//! Idempotency keys of admins: a restock, a product and a sale are made once for each key, however often the request comes, at
//! whichever instance, and whatever crashed in between.

use crate::merchant::{Merchant, error_pointers, eur, id};
use crate::sharing::second_shop;
use crate::support::{HttpReply, TestApp};
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use sale::{BuyerId, EventSeq, Policy, SaleId};
use serde_json::{Value, json};
use server::shop::Shop;
use server::shop::idempotency_keys::{IdempotencyKey, KeyOperation, OwnedKey, content_digest};
use server::shop::sales::{self, RestockRequest};
use server::store::admin_keys::{self, AdminKeyRow, PendingRestock};
use server::store::sales::{self as rows, LimitScope, NewSale, PaymentMode};

impl Merchant<'_> {
    async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> HttpReply {
        let request = self.app.request(Method::POST, &format!("/api/v1/admin{path}"));
        HttpReply::send(request.bearer_auth(&self.token).header("idempotency-key", key).json(body)).await
    }

    async fn restock(&self, sale: &str, key: &str, quantity: u32) -> HttpReply {
        let path = format!("/flash-sales/{sale}/restock");
        self.post_with_key(&path, key, &json!({"quantity": quantity})).await
    }
}

async fn quantity(app: &TestApp, sale: &str) -> u64 {
    app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["quantity"].as_u64().unwrap()
}

fn assert_key_reused(reply: &HttpReply) {
    assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (422, "key_reused"));
}

/// Sends a request twenty times at once and twenty times in turn; all who get a reply get the same. Returns that.
async fn send_forty_times(send: impl AsyncFn() -> HttpReply, expected: StatusCode) -> Value {
    let mut replies = join_all((0..20).map(|_| send())).await;
    replies.retain(|reply| reply.status == expected || reply.problem() != "request_in_flight");
    assert!(!replies.is_empty());
    for _ in 0..20 {
        replies.push(send().await);
    }
    let first = without_time(&replies[0]);
    for reply in &replies {
        assert_eq!((reply.status, without_time(reply)), (expected, first.clone()));
    }
    first
}

fn without_time(reply: &HttpReply) -> Value {
    let mut body = reply.json();
    body.as_object_mut().unwrap().remove("serverTime");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restock_adds_its_units_once_for_each_key() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({})).await;
    let added = send_forty_times(async || merchant.restock(&sale, "k", 5).await, StatusCode::OK).await;
    assert_eq!(
        (&added["quantity"], &added["available"], &added["version"]),
        (&json!(15), &json!(15), &json!(2))
    );
    assert_key_reused(&merchant.restock(&sale, "k", 6).await);
    assert_key_reused(&merchant.restock(&merchant.sale(&json!({})).await, "k", 5).await);
    assert_eq!(merchant.restock(&sale, "another", 5).await.json()["quantity"], 20);
    // Without a key each request is one of its own.
    for expected in [25, 30] {
        let reply = merchant.post(&format!("/flash-sales/{sale}/restock"), &json!({"quantity": 5})).await;
        assert_eq!(reply.json()["quantity"], expected);
    }
    let app = app.restart().await;
    let merchant = Merchant::sign_in(&app).await;
    assert_eq!(merchant.restock(&sale, "k", 5).await.json()["quantity"], 30);
    assert_key_reused(&merchant.restock(&sale, "k", 6).await);
    assert_eq!(quantity(&app, &sale).await, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_restock_leaves_its_key_free() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({})).await;
    assert_eq!(merchant.restock(&sale, "k", 10_000_000).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(merchant.restock(&sale, "k", 5).await.json()["quantity"], 15);
    let bad = merchant.restock(&sale, &"x".repeat(256), 5).await;
    assert_eq!(bad.problem(), "bad_idempotency_key");
}

/// A key's row as the restock of a crashed process has left it.
async fn leave_pending(shop: &Shop, key: OwnedKey, sale: SaleId, quantity: u32, after: EventSeq) {
    let now = shop.engine.now();
    let pending = Some(PendingRestock { quantity, after, until: now.plus_s(10) });
    let row = key.create_row(KeyOperation::Restock, content_digest(&(sale, quantity)), sale.0, now);
    let mut writing = shop.store.begin().await.unwrap();
    assert!(admin_keys::insert(&mut writing, &AdminKeyRow { pending, ..row }).await.unwrap());
    writing.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restock_that_a_crash_cut_off_is_done_once() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let admin = BuyerId(app.admin().await.id.parse().unwrap());
    for was_recorded in [false, true] {
        let name = merchant.sale(&json!({})).await;
        let sale: SaleId = name.parse().unwrap();
        let shop = &app.instance.app.shop;
        let after = shop.engine.sale(sale).await.unwrap().seq;
        let text = format!("k {was_recorded}");
        let key = OwnedKey { owner: admin, key: IdempotencyKey::from_text(&text) };
        leave_pending(shop, key, sale, 5, after).await;
        if was_recorded {
            shop.engine.restock(sale, 5).await.unwrap().unwrap();
        }
        // On PostgreSQL another process may still work on it.
        app.shift_clock(11_000);
        if was_recorded {
            // Another restock in between, of the same number of units, is not taken for it.
            assert_eq!(merchant.restock(&name, "other", 5).await.json()["quantity"], 20);
        }
        let expected = if was_recorded { 20 } else { 15 };
        for _ in 0..3 {
            assert_eq!(merchant.restock(&name, &text, 5).await.json()["quantity"], expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_made_once_for_each_key() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let body = json!({"name": "A thing", "description": "Round.", "price": eur(4999), "category": "Things"});
    let made =
        send_forty_times(async || merchant.post_with_key("/products", "k", &body).await, StatusCode::CREATED)
            .await;
    for (field, value) in [("name", json!("Another")), ("category", Value::Null), ("price", eur(1))] {
        let mut other = body.clone();
        other[field] = value;
        assert_key_reused(&merchant.post_with_key("/products", "k", &other).await);
    }
    let listed = app.get("/api/v1/products").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    // The same text for another operation is another key.
    let sale = merchant.post_with_key("/flash-sales", "k", &merchant.sale_body(&id(&made), &json!({}))).await;
    assert_eq!(sale.status, StatusCode::CREATED, "{sale:?}");
    assert_eq!(merchant.restock(&id(&sale.json()), "k", 1).await.status, StatusCode::OK);

    let app = app.restart().await;
    let merchant = Merchant::sign_in(&app).await;
    let again = merchant.post_with_key("/products", "k", &body).await;
    assert_eq!((again.status, again.json()), (StatusCode::CREATED, made.clone()));
    let spare = merchant.post_with_key("/products", "spare", &body).await;
    merchant.delete(&format!("/products/{}", id(&spare.json()))).await;
    assert_eq!(merchant.post_with_key("/products", "spare", &body).await.problem(), "product_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_made_once_for_each_key() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let product = merchant.product("A thing").await;
    let body = merchant.sale_body(&product, &json!({"startsAt": merchant.moment(600_000)}));
    let made = send_forty_times(
        async || merchant.post_with_key("/flash-sales", "k", &body).await,
        StatusCode::CREATED,
    )
    .await;
    for (field, value) in [("quantity", json!(11)), ("slug", json!("other")), ("price", eur(1))] {
        let mut other = body.clone();
        other[field] = value;
        assert_key_reused(&merchant.post_with_key("/flash-sales", "k", &other).await);
    }
    assert_eq!(app.get("/api/v1/flash-sales").await.json()["items"].as_array().unwrap().len(), 1);
    // A refusal leaves the key free.
    let mut taken = body.clone();
    taken["slug"] = made["slug"].clone();
    assert_eq!(merchant.post_with_key("/flash-sales", "later", &taken).await.problem(), "slug_taken");
    let bad = merchant.sale_body(&product, &json!({"quantity": 0}));
    assert_eq!(error_pointers(&merchant.post_with_key("/flash-sales", "later", &bad).await), ["/quantity"]);
    let second = merchant.post_with_key("/flash-sales", "later", &body).await;
    assert_eq!(second.status, StatusCode::CREATED);

    let app = app.restart().await;
    let merchant = Merchant::sign_in(&app).await;
    let again = merchant.post_with_key("/flash-sales", "k", &body).await;
    assert_eq!((again.status, without_time(&again)), (StatusCode::CREATED, made));
    merchant.delete(&format!("/flash-sales/{}", id(&second.json()))).await;
    assert_eq!(merchant.post_with_key("/flash-sales", "later", &body).await.problem(), "sale_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_a_crash_left_unannounced_is_announced_by_the_same_request() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let admin = BuyerId(app.admin().await.id.parse().unwrap());
    let product = merchant.product("A thing").await;
    let body = merchant.sale_body(&product, &json!({}));
    let model = merchant.post("/flash-sales", &body).await.json();
    let shop = &app.instance.app.shop;
    let policy = Policy::clone(&shop.engine.sale(id(&model).parse().unwrap()).await.unwrap().policy);
    for (n, was_recorded) in [(1, false), (2, true)] {
        let (text, sale) = (format!("k{n}"), SaleId(uuid::Uuid::from_u128(n)));
        let content = content_digest(&(product.parse::<uuid::Uuid>().unwrap(), None::<&str>, &policy));
        let key = OwnedKey { owner: admin, key: IdempotencyKey::from_text(&text) };
        let row = key.create_row(KeyOperation::CreateSale, content, sale.0, merchant.now());
        let mut writing = shop.store.begin().await.unwrap();
        assert!(admin_keys::insert(&mut writing, &row).await.unwrap());
        let slug = format!("unannounced-{n}");
        let (created_at, payment, provider) = (merchant.now(), PaymentMode::Required, "sandbox");
        let limit_by = LimitScope::Account;
        let product = product.parse().unwrap();
        let new = NewSale {
            id: sale,
            product,
            slug: &slug,
            created_at,
            payment,
            provider,
            limit_by,
            require_confirmed_email: false,
            made_by: None,
        };
        assert!(rows::insert(&mut writing, new).await.unwrap());
        writing.commit().await.unwrap();
        if was_recorded {
            shop.engine.configure(sale, policy.clone()).await.unwrap().unwrap();
        }
        let reply = merchant.post_with_key("/flash-sales", &text, &body).await;
        assert_eq!((reply.status, id(&reply.json())), (StatusCode::CREATED, sale.to_string()));
        assert_eq!((&reply.json()["slug"], &reply.json()["version"]), (&json!(slug), &json!(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_add_the_units_of_one_key_once() {
    let app = TestApp::on_postgres().await;
    let merchant = Merchant::sign_in(&app).await;
    let admin = BuyerId(app.admin().await.id.parse().unwrap());
    let name = merchant.sale(&json!({})).await;
    let (here, other) = (second_shop(&app).await, second_shop(&app).await);
    let key = Some(OwnedKey { owner: admin, key: IdempotencyKey::from_text("k") });
    let request = RestockRequest { sale: name.parse().unwrap(), quantity: 5, key };
    let restocks = (0..10).flat_map(|_| [&here, &other]).map(|shop| sales::restock(shop, request));
    let replies = join_all(restocks).await;
    assert!(replies.iter().any(|reply| matches!(reply, Ok(Ok(_)))), "{replies:?}");
    assert_eq!(quantity(&app, &name).await, 15);
    for shop in [&here, &other] {
        assert_eq!(sales::restock(shop, request).await.unwrap().unwrap().view.policy.quantity, 15);
    }

    // While the outcome of one is not known, another process waits for the one that works on it.
    let sale = name.parse().unwrap();
    let after = here.engine.sale(sale).await.unwrap().seq;
    let key = OwnedKey { owner: admin, key: IdempotencyKey::from_text("later") };
    let request = RestockRequest { sale, quantity: 7, key: Some(key) };
    leave_pending(&here, key, sale, 7, after).await;
    let waiting = sales::restock(&other, request).await.unwrap();
    assert!(format!("{waiting:?}").contains("InFlight"), "{waiting:?}");
    app.shift_clock(11_000);
    assert_eq!(sales::restock(&other, request).await.unwrap().unwrap().view.policy.quantity, 22);
    assert_eq!(sales::restock(&here, request).await.unwrap().unwrap().view.policy.quantity, 22);
}
