//! What an older copy of the tables or of the ledger, or a shorter lifetime of tokens, must not undo: ended sessions, roles that were taken
//! away, and money.

use crate::merchant::{Merchant, eur, id, order, pay};
use crate::support::{HttpReply, TestApp};
use reqwest::Method;
use serde_json::json;
use test_servers::wait::{HANG_LIMIT, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_stays_ended_when_tokens_get_a_shorter_life() {
    let app = TestApp::start().await;
    let (admin, ada) = (app.admin().await, app.register("ada").await);
    assert_eq!(app.post_as(&ada.access, "/api/v1/auth/logout", &json!({})).await.status, 204);
    assert_eq!(app.get_as(&ada.access, "/api/v1/auth/me").await.problem(), "unauthorized");
    assert_eq!(app.get_as(&admin.access, "/api/v1/auth/me").await.status, 200);

    let app = app.restart_with(&["--token-ttl", "5s"]).await;
    // Longer than the new lifetime and its margin.
    app.shift_clock(120_000);
    assert_eq!(
        app.get_as(&admin.access, "/api/v1/auth/me").await.status,
        200,
        "a token of before is valid for its day"
    );
    assert_eq!(app.get_as(&ada.access, "/api/v1/auth/me").await.problem(), "unauthorized");
    let bob = app.register("bob").await;
    assert_eq!(app.get_as(&bob.access, "/api/v1/auth/me").await.status, 200);
    app.shift_clock(6_000);
    assert_eq!(app.get_as(&bob.access, "/api/v1/auth/me").await.problem(), "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_say_who_is_an_admin_and_not_the_token() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let list = "/api/v1/admin/orders";
    assert_eq!(app.get_as(&admin.access, list).await.status, 200);
    let database = app.database().await;
    let set_role = async |role: &str| {
        sqlx::query("UPDATE users SET role = $1 WHERE id = $2")
            .bind(role)
            .bind(&admin.id)
            .execute(&database)
            .await
            .unwrap();
    };
    set_role("buyer").await;
    assert_eq!(app.get_as(&admin.access, list).await.problem(), "unauthorized");
    let path = format!("/api/v1/admin/accounts/{}/role", admin.id);
    let request = app.request(Method::POST, &path).bearer_auth(&admin.access).json(&json!({"role": "admin"}));
    assert_eq!(HttpReply::send(request).await.problem(), "unauthorized", "it cannot make itself one");
    set_role("admin").await;
    assert_eq!(app.get_as(&admin.access, list).await.status, 200);

    // A copy of before the sign-in does not know the session.
    sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(&admin.id).execute(&database).await.unwrap();
    assert_eq!(app.get_as(&admin.access, list).await.problem(), "unauthorized");
    let ada = app.register("ada").await;
    sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(&ada.id).execute(&database).await.unwrap();
    assert_eq!(app.get_as(&ada.access, "/api/v1/auth/me").await.status, 200);
    assert_eq!(app.post_as(&ada.access, "/api/v1/auth/logout", &json!({})).await.status, 204);
    database.close().await;
    let app = app.restart().await;
    assert_eq!(
        app.get_as(&ada.access, "/api/v1/auth/me").await.problem(),
        "unauthorized",
        "a logout is kept"
    );
}

/// A sale whose units are paid for.
async fn paid_sale(merchant: &Merchant<'_>) -> String {
    merchant.sale(&json!({"price": eur(4999), "limitPerBuyer": 5, "holdSeconds": 60})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_was_taken_for_an_order_that_is_not_confirmed_confirms_it_or_goes_back() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = paid_sale(&merchant).await;
    let database = app.database().await;
    // As if an older ledger had been put back: the payment of a confirmed order belongs to one that the ledger has as pending.
    let take_payment = async |from: &str, to: &str| {
        let changed = sqlx::query("UPDATE payments SET order_id = $1 WHERE order_id = $2")
            .bind(to)
            .bind(from)
            .execute(&database)
            .await
            .unwrap();
        assert_eq!(changed.rows_affected(), 1);
    };
    let hold = async || id(&order(&app, &ada, &sale, 1).await.json());
    let (paid, pending) = (hold().await, hold().await);
    assert_eq!(pay(&app, &ada, &paid, "approve").await.status, 200);
    take_payment(&paid, &pending).await;
    let reply = pay(&app, &ada, &pending, "approve").await.json();
    assert_eq!((&reply["status"], &reply["payment"]["status"]), (&json!("confirmed"), &json!("captured")));

    let gone = hold().await;
    let cancel = app.request(Method::DELETE, &format!("/api/v1/orders/{gone}")).bearer_auth(&ada.access);
    assert_eq!(HttpReply::send(cancel).await.json()["status"], "cancelled");
    take_payment(&pending, &gone).await;
    assert_eq!(pay(&app, &ada, &gone, "approve").await.problem(), "order_expired", "never a success");
    let refund = format!("/orders/{gone}/refund");
    let refunded = merchant.post(&refund, &json!({"restock": false})).await;
    assert_eq!(refunded.status, 200, "{refunded:?}");
    let state = async || -> String {
        sqlx::query_scalar("SELECT state FROM payments WHERE order_id = $1")
            .bind(&gone)
            .fetch_one(&database)
            .await
            .unwrap()
    };
    eventually("the money is back", HANG_LIMIT, async || state().await == "refunded").await;
    let again = merchant.post(&refund, &json!({"restock": false})).await;
    assert_ne!(again.status, 500, "{again:?}");
    assert_eq!(state().await, "refunded");

    // The payment is gone: a refund would give no money back.
    let lost = merchant.post(&format!("/orders/{pending}/refund"), &json!({"restock": true})).await;
    assert_eq!(lost.problem(), "payment_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_decline_is_no_answer_for_an_order_that_has_ended() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = paid_sale(&merchant).await;
    let pay_with_key = async |order: &str, method: &str, key: &str| {
        let request =
            app.request(Method::POST, &format!("/api/v1/orders/{order}/pay")).bearer_auth(&ada.access);
        HttpReply::send(request.header("Idempotency-Key", key).json(&json!({"method": method}))).await
    };
    let (first, second) =
        (id(&order(&app, &ada, &sale, 1).await.json()), id(&order(&app, &ada, &sale, 1).await.json()));
    for order in [&first, &second] {
        let declined = pay_with_key(order, "sandbox:decline", &format!("k-{order}")).await;
        assert_eq!(declined.problem(), "payment_declined");
    }
    assert_eq!(pay_with_key(&second, "sandbox:approve", "other").await.status, 200);
    let repeated = pay_with_key(&second, "sandbox:decline", &format!("k-{second}")).await;
    assert_eq!(repeated.problem(), "payment_declined", "a key is answered as before");
    app.shift_clock(61_000);
    assert_eq!(
        pay_with_key(&first, "sandbox:decline", &format!("k-{first}")).await.problem(),
        "order_expired"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_refund_means_one_request_also_when_nothing_is_left_to_refund() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = paid_sale(&merchant).await;
    let order = id(&order(&app, &ada, &sale, 1).await.json());
    assert_eq!(pay(&app, &ada, &order, "approve").await.status, 200);
    let refund = async |key: &str, restock: bool| {
        let path = format!("/api/v1/admin/orders/{order}/refund");
        let request = app.request(Method::POST, &path).bearer_auth(&merchant.token);
        HttpReply::send(request.header("Idempotency-Key", key).json(&json!({"restock": restock}))).await
    };
    assert_eq!(refund("first", true).await.status, 200);
    assert_eq!(refund("second", true).await.status, 200, "nothing is left to refund");
    assert_eq!(refund("second", false).await.problem(), "key_reused");
    assert_eq!(refund("second", true).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_sold_without_a_payment_is_paid() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = merchant.sale(&json!({"payment": "none"})).await;
    let order = id(&order(&app, &ada, &sale, 1).await.json());
    let reply = app.post_as(&ada.access, &format!("/api/v1/orders/{order}/pay"), &json!({})).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["status"]), (200, &json!("confirmed")));
}
