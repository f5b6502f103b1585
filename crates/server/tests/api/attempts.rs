//! Refused attempts: kept one by one, and in a flood counted, which the page says.

use crate::merchant::{Merchant, id, order};
use crate::support::TestApp;
use serde_json::{Value, json};
use test_servers::wait::{HANG_LIMIT, eventually_some};

/// Waits for a page of attempts: refusals are written some time after their replies.
async fn attempts(merchant: &Merchant<'_>, sale: &str, is_complete: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/flash-sales/{sale}/attempts?limit=200");
    eventually_some(&path, HANG_LIMIT, async || {
        Some(merchant.get(&path).await).filter(|page| is_complete(page))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_and_refused_attempts_are_shown_with_their_buyers() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"quantity": 1, "payment": "none"})).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    order(&app, &ada, &sale, 1).await;
    assert_eq!(order(&app, &bob, &sale, 1).await.problem(), "sold_out");
    let page = attempts(&merchant, &sale, |page| page["items"].as_array().unwrap().len() == 2).await;
    let (refused, accepted) = (&page["items"][0], &page["items"][1]);
    assert_eq!((&refused["code"], &refused["buyer"]["username"]), (&json!("sold_out"), &json!("bob")));
    assert_eq!((&accepted["code"], &accepted["buyer"]["username"]), (&json!("accepted"), &json!("ada")));
    assert_eq!((&refused["action"], &refused["count"]), (&json!("order"), &json!(1)));
    let overview = merchant.get(&format!("/flash-sales/{sale}/overview")).await;
    assert_eq!(overview["refusals"], json!([{"code": "sold_out", "count": 1}]));
    for (query, expected) in [
        ("code=sold_out", vec![refused]),
        ("code=accepted", vec![accepted]),
        ("action=order", vec![refused, accepted]),
        ("action=order&code=accepted", vec![accepted]),
        ("action=order&code=sold_out", vec![refused]),
        ("action=join", vec![]),
        ("action=join&code=sold_out", vec![]),
        ("code=nothing", vec![]),
    ] {
        let found = merchant.get(&format!("/flash-sales/{sale}/attempts?{query}")).await;
        assert_eq!(found["items"], json!(expected), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_counted_and_the_page_says_so() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"quantity": 1, "payment": "none"})).await;
    let ada = app.register("ada").await;
    order(&app, &ada, &sale, 1).await;
    let shop = &app.instance.app.shop;
    let sale_id = sale.parse().unwrap();
    let buyer = ada.id.parse().unwrap();
    let at = merchant.now();
    for _ in 0..5_000 {
        shop.attempts.record_refusal(sale_id, Some(buyer), "order", "sold_out", at);
    }
    let page = attempts(&merchant, &sale, |page| page["countedOnly"] == 4_800).await;
    assert!(page["note"].as_str().unwrap().contains("4800"), "{page}");
    let overview = merchant.get(&format!("/flash-sales/{sale}/overview")).await;
    assert_eq!(overview["refusals"], json!([{"code": "sold_out", "count": 5_000}]));

    // Paging through all of them meets each one once.
    let path = format!("/api/v1/admin/flash-sales/{sale}/attempts?limit=77");
    let items = app.read_pages(&merchant.token, &path).await.concat();
    let mut seen: Vec<String> = items.iter().map(id).collect();
    let counts: Vec<_> =
        items.iter().filter(|item| item["buyer"].is_null()).map(|item| &item["count"]).collect();
    assert_eq!(counts, [&json!(4_800)]);
    let total = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(
        (seen.len(), total),
        (202, 202),
        "200 single refusals, a count, and the one that was accepted"
    );
}
