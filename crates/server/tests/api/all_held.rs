//! The `Retry-After` of a buyer who is refused because all units are held by others.

use crate::merchant::{Merchant, assert_refused, order, order_with_key};
use crate::support::{HttpReply, TestApp};
use reqwest::StatusCode;
use sale::Timestamp;
use serde_json::json;
use std::collections::BTreeSet;
use test_servers::wait::{HANG_LIMIT, eventually_some};

fn retry_after_s(reply: &HttpReply) -> i64 {
    assert_refused(reply, 409, "all_held");
    reply.header("retry-after").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_buyers_are_spread_over_half_a_minute() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = merchant.sale(&json!({"quantity": 1, "holdSeconds": 600})).await;
    assert_eq!(order(&app, &ada, &sale, 1).await.status, StatusCode::CREATED);
    let mut waits_s = BTreeSet::new();
    for number in 0..8 {
        let buyer = app.register(&format!("buyer{number}")).await;
        let first_s = retry_after_s(&order(&app, &buyer, &sale, 1).await);
        let again_s = retry_after_s(&order_with_key(&app, &buyer, &sale, 1, "k").await);
        assert_eq!(first_s, again_s, "nothing has changed");
        assert!((16..=30).contains(&first_s), "{first_s}");
        waits_s.insert(first_s);
    }
    assert!(waits_s.len() > 1, "all wait the same: {waits_s:?}");
    let other = order(&app, &ada, &sale, 1).await;
    assert_refused(&other, 409, "limit_reached");
    assert!(!other.headers.contains_key("retry-after"), "waiting does not help: {other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_asks_after_retry_after_gets_the_unit_whose_hold_has_ended() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    // A machine that is so slow that the hold ends before the other buyer asks tries again.
    let (sale, wait_s) = eventually_some("a refusal while the hold lasts", HANG_LIMIT, async || {
        let sale = merchant.sale(&json!({"quantity": 1, "holdSeconds": 10})).await;
        let held = order(&app, &ada, &sale, 1).await.json();
        let until: jiff::Timestamp = held["expiresAt"].as_str().unwrap().parse().unwrap();
        let left_s = |now: Timestamp| (until.as_millisecond() - now.0).max(0).unsigned_abs().div_ceil(1000);
        let before = merchant.now();
        let reply = order(&app, &bob, &sale, 1).await;
        let after = merchant.now();
        if reply.status == StatusCode::CREATED {
            return None;
        }
        let wait_s = retry_after_s(&reply);
        let expected = left_s(after) + 3..=left_s(before) + 17;
        assert!(expected.contains(&wait_s.unsigned_abs()), "{wait_s} is not in {expected:?}");
        Some((sale, wait_s))
    })
    .await;
    app.shift_clock(wait_s * 1_000);
    assert_eq!(order(&app, &bob, &sale, 1).await.status, StatusCode::CREATED);
}
