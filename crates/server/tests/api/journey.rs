//! The whole way of a drop, from the merchant's first product to the refund and the lists, on every place that a shop can be kept
//! in: what one of them does, the others do.

use crate::merchant::{Merchant, id, order};
use crate::support::{HttpReply, PASSWORD, SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use test_servers::wait::{HANG_LIMIT, eventually};

const SQLITE: &str = "a folder";

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_from_the_first_product_to_the_last_list_in_a_folder() {
    run_journey(TestApp::start().await, SQLITE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_from_the_first_product_to_the_last_list_on_postgres() {
    run_journey(TestApp::on_postgres().await, "postgres").await;
}

async fn pay(app: &TestApp, buyer: &SignedInUser, order: &str, method: &str) -> HttpReply {
    let path = format!("/api/v1/orders/{order}/pay");
    let request = app.request(Method::POST, &path).bearer_auth(&buyer.access);
    HttpReply::send(request.header("idempotency-key", order).json(&json!({"method": method}))).await
}

async fn run_journey(app: TestApp, place: &str) {
    let merchant = Merchant::sign_in(&app).await;
    let (ada, bob, cyd) = (app.register("ada").await, app.register("bob").await, app.register("cyd").await);
    assert_eq!(read_again(&app, "ada").await, (StatusCode::CONFLICT, "email_taken".to_owned()));

    // A line for two units: two are admitted and hold, one pays, one is declined and gives back, and the third gets what came free.
    let fifo = json!({"type": "fifo", "perSecond": 100, "checkoutSeconds": 600});
    let sale = merchant.sale(&json!({"quantity": 2, "admission": fifo})).await;
    let join = json!({"flashSaleId": sale});
    let position = format!("/api/v1/queue/position?flashSaleId={sale}");
    for (ticket, buyer) in [&ada, &bob, &cyd].into_iter().enumerate() {
        let joined = app.post_as(&buyer.access, "/api/v1/queue/join", &join).await;
        assert_eq!(
            (joined.status, &joined.json()["ticket"]),
            (StatusCode::CREATED, &json!(ticket + 1)),
            "{place}"
        );
    }
    let is_admitted = async |buyer: &SignedInUser| {
        app.get_as(&buyer.access, &position).await.json()["status"] == "admitted"
    };
    eventually("admission", HANG_LIMIT, async || is_admitted(&ada).await && is_admitted(&bob).await).await;
    assert_eq!(order(&app, &cyd, &sale, 1).await.problem(), "not_admitted");
    let (first, second) =
        (order(&app, &ada, &sale, 1).await.json(), order(&app, &bob, &sale, 1).await.json());
    assert_eq!(pay(&app, &ada, &id(&first), "sandbox:approve").await.status, StatusCode::OK);
    assert_eq!(pay(&app, &ada, &id(&first), "sandbox:approve").await.status, StatusCode::OK, "asked again");
    assert_eq!(pay(&app, &bob, &id(&second), "sandbox:decline").await.problem(), "payment_declined");
    let path = format!("/api/v1/orders/{}", id(&second));
    assert_eq!(app.get_as(&bob.access, &path).await.json()["status"], "pending", "another card may be tried");
    let cancel = HttpReply::send(app.request(Method::DELETE, &path).bearer_auth(&bob.access)).await;
    assert_eq!(cancel.json()["status"], "cancelled");
    eventually("the third's turn", HANG_LIMIT, async || is_admitted(&cyd).await).await;
    let third = order(&app, &cyd, &sale, 1).await.json();

    // A restart changes nothing of it, and ends no session.
    let app = app.restart().await;
    let merchant = Merchant::sign_in(&app).await;
    assert_eq!(app.get_as(&cyd.access, &format!("/api/v1/orders/{}", id(&third))).await.json(), third);
    assert_eq!(pay(&app, &cyd, &id(&third), "sandbox:approve").await.status, StatusCode::OK);
    let now = app.get(&format!("/api/v1/flash-sales/{sale}")).await.json();
    assert_eq!((&now["sold"], &now["availability"]), (&json!(2), &json!("sold_out")), "{now}");
    assert_eq!(order(&app, &bob, &sale, 1).await.problem(), "sold_out");
    let refund = merchant.post(&format!("/orders/{}/refund", id(&first)), &json!({"restock": true})).await;
    assert_eq!(refund.status, StatusCode::OK, "{refund:?}");

    lists_say_so(&merchant, &sale, [&first, &second, &third].map(id)).await;
    let refreshed = app.post("/api/v1/auth/refresh", &json!({"refreshToken": ada.refresh})).await;
    assert_eq!(refreshed.status, StatusCode::OK, "{refreshed:?}");
    // A token whose reply was lost may be sent again; one whose successor was used ends the session.
    let successor = refreshed.json()["refreshToken"].clone();
    let next = app.post("/api/v1/auth/refresh", &json!({"refreshToken": successor})).await;
    assert_eq!(next.status, StatusCode::OK, "{next:?}");
    let reused = app.post("/api/v1/auth/refresh", &json!({"refreshToken": ada.refresh})).await;
    assert_eq!(reused.status, StatusCode::UNAUTHORIZED, "{reused:?}");
}

async fn read_again(app: &TestApp, name: &str) -> (StatusCode, String) {
    let account =
        json!({"email": format!("{name}@example.com"), "username": "another", "password": PASSWORD});
    let reply = app.post("/api/v1/auth/register", &account).await;
    (reply.status, reply.problem())
}

/// What an admin is shown, when the tables have caught up.
async fn lists_say_so(merchant: &Merchant<'_>, sale: &str, [first, second, third]: [String; 3]) {
    let overview = format!("/flash-sales/{sale}/overview");
    eventually("the tables", HANG_LIMIT, async || merchant.get(&overview).await["projectionLag"] == 0).await;
    let orders = merchant.get(&format!("/orders?flashSaleId={sale}")).await;
    let status = |order: &str| {
        let items = orders["items"].as_array().unwrap();
        items.iter().find(|item| item["id"] == order).map(|item| item["status"].clone())
    };
    let expected = ["refunded", "cancelled", "confirmed"].map(|status| Some(json!(status)));
    assert_eq!([&first, &second, &third].map(|order| status(order)), expected, "{orders}");
    let queue = merchant.get(&format!("/flash-sales/{sale}/queue")).await;
    assert_eq!(queue["items"], json!([]), "the line is empty");
    let events = merchant.get(&format!("/flash-sales/{sale}/events?limit=100")).await;
    let seqs: Vec<u64> =
        events["items"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    eventually("the attempts", HANG_LIMIT, async || {
        let attempts: Value = merchant.get(&format!("/flash-sales/{sale}/attempts?limit=100")).await;
        let codes = attempts["items"].as_array().unwrap().iter().map(|item| item["code"].clone());
        let codes: Vec<Value> = codes.collect();
        ["accepted", "not_admitted", "sold_out"].iter().all(|code| codes.contains(&json!(code)))
    })
    .await;
}
