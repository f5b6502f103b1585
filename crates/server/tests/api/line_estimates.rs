//! The estimate of the wait over HTTP, and what a buyer is answered who asks for more units than there are.

use crate::merchant::{Merchant, assert_refused, join_line, order, pay, position, wait_until_admitted};
use crate::support::{SignedInUser, TestApp};
use reqwest::StatusCode;
use serde_json::{Value, json};
use test_servers::wait::{HANG_LIMIT, eventually_some};

fn line(per_second: u32) -> Value {
    json!({"type": "fifo", "perSecond": per_second, "checkoutSeconds": 600, "lineOpensSecondsBefore": 600})
}

async fn register_buyers(app: &TestApp, count: usize) -> Vec<SignedInUser> {
    let mut buyers = Vec::new();
    for number in 0..count {
        buyers.push(app.register(&format!("buyer{number}")).await);
    }
    buyers
}

#[tokio::test(flavor = "multi_thread")]
async fn only_places_that_the_units_reach_have_an_estimate() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let body = json!({"quantity": 3, "startsAt": merchant.moment(120_000), "admission": line(1)});
    let sale = merchant.sale(&body).await;
    let buyers = register_buyers(&app, 5).await;
    let mut estimates = Vec::new();
    for buyer in &buyers {
        let place = join_line(&app, buyer, &sale).await.json();
        assert_eq!(place["unitsLeft"], 3, "{place}");
        estimates.push(place["estimatedWaitSeconds"].as_u64());
    }
    let first = estimates[0].unwrap();
    assert!((1..=120).contains(&first), "{estimates:?}");
    // A later reply may count a second less until the start.
    for (index, estimate) in estimates.iter().enumerate() {
        let due = first + index as u64;
        let is_right =
            estimate.map_or(index >= 3, |estimate| index < 3 && estimate <= due && estimate + 60 > due);
        assert!(is_right, "{estimates:?}");
    }

    app.shift_clock(125_000);
    for buyer in &buyers[..3] {
        wait_until_admitted(&app, buyer, &sale).await;
        assert_eq!(position(&app, buyer, &sale).await["estimatedWaitSeconds"], 0);
    }
    let fourth = position(&app, &buyers[3], &sale).await;
    assert_eq!((&fourth["position"], &fourth["unitsLeft"]), (&json!(1), &json!(3)), "{fourth}");
    assert_eq!(fourth["estimatedWaitSeconds"], Value::Null, "no unit is free: {fourth}");
    let ordered = order(&app, &buyers[0], &sale, 1).await.json();
    assert_eq!(
        pay(&app, &buyers[0], ordered["id"].as_str().unwrap(), "approve").await.status,
        StatusCode::OK
    );
    assert_eq!(position(&app, &buyers[4], &sale).await["unitsLeft"], 2, "a paid unit is not left");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admitted_buyer_who_asks_for_two_is_answered_that_one_is_set_aside() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let body = json!({"quantity": 2, "limitPerBuyer": 3, "admission": line(10)});
    let sale = merchant.sale(&body).await;
    let buyers = register_buyers(&app, 2).await;
    for buyer in &buyers {
        join_line(&app, buyer, &sale).await;
        wait_until_admitted(&app, buyer, &sale).await;
    }
    let refused = order(&app, &buyers[0], &sale, 2).await;
    assert_refused(&refused, 409, "fewer_left");
    let problem = refused.json();
    assert_eq!((&problem["setAside"], &problem["orderable"]), (&json!(1), &json!(1)), "{problem}");
    assert_eq!(problem["detail"], "one unit is set aside for you, and no other is free: order one");

    // The same when the other unit is sold: the sale is not sold out for this buyer.
    let ordered = order(&app, &buyers[1], &sale, 1).await.json();
    pay(&app, &buyers[1], ordered["id"].as_str().unwrap(), "approve").await;
    assert_refused(&order(&app, &buyers[0], &sale, 2).await, 409, "fewer_left");
    assert_eq!(order(&app, &buyers[0], &sale, 1).await.status, StatusCode::CREATED, "it was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn free_units_that_are_fewer_than_asked_for_are_no_full_carts() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let buyers = register_buyers(&app, 2).await;
    // Without a line: one of three is in a cart, two are free.
    let open = merchant.sale(&json!({"quantity": 3, "limitPerBuyer": 3})).await;
    assert_eq!(order(&app, &buyers[0], &open, 1).await.status, StatusCode::CREATED);
    eventually_some("the cart", HANG_LIMIT, async || {
        let shown = app.get(&format!("/api/v1/flash-sales/{open}")).await.json();
        (shown["held"] == 1).then_some(())
    })
    .await;
    let refused = order(&app, &buyers[1], &open, 3).await;
    assert_refused(&refused, 409, "fewer_left");
    let problem = refused.json();
    assert_eq!((&problem["setAside"], &problem["orderable"]), (&json!(0), &json!(2)), "{problem}");
    assert_eq!(problem["detail"], "fewer units are free than you asked for: order 2");
    assert_eq!(order(&app, &buyers[1], &open, 2).await.status, StatusCode::CREATED);
    assert_refused(&order(&app, &buyers[1], &open, 1).await, 409, "all_held");

    // Sold, and one is free: nothing is sold out.
    let rest = merchant.sale(&json!({"quantity": 2, "limitPerBuyer": 2, "payment": "none"})).await;
    assert_eq!(order(&app, &buyers[0], &rest, 1).await.status, StatusCode::CREATED);
    assert_refused(&order(&app, &buyers[1], &rest, 2).await, 409, "fewer_left");
    assert_eq!(order(&app, &buyers[1], &rest, 1).await.status, StatusCode::CREATED);
    assert_refused(&order(&app, &buyers[0], &rest, 1).await, 409, "sold_out");
}
