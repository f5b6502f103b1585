//! The one extension of an admission over HTTP: who gets it, what it changes everywhere, and what a merchant may promise.

use crate::merchant::{Merchant, assert_refused, join_line, order, position, wait_until_admitted};
use crate::support::{HttpReply, SignedInUser, TestApp};
use reqwest::StatusCode;
use serde_json::{Value, json};
use test_servers::wait::{HANG_LIMIT, eventually_some};

const UNKNOWN: &str = "0190f3a4-0000-7000-8000-000000000000";

/// One unit a second; so many seconds to buy, and so many more for the asking.
fn line(extension_s: u32) -> Value {
    json!({"type": "fifo", "perSecond": 1, "checkoutSeconds": 60, "lineOpensSecondsBefore": 0, "extensionSeconds": extension_s})
}

async fn extend(app: &TestApp, buyer: &SignedInUser, sale: &str) -> HttpReply {
    app.post_as(&buyer.access, "/api/v1/queue/extend", &json!({"flashSaleId": sale})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admitted_buyer_gets_more_time_once_and_it_is_shown_alike_everywhere() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    let sale = merchant.sale(&json!({"quantity": 1, "admission": line(600)})).await;
    assert_eq!(app.get(&format!("/api/v1/flash-sales/{sale}")).await.json()["admission"], line(600));
    assert_refused(&extend(&app, &ada, &sale).await, 404, "not_in_line");
    join_line(&app, &ada, &sale).await;
    let before = wait_until_admitted(&app, &ada, &sale).await;
    assert_eq!(before["extensionSeconds"], 600);
    let waiting = join_line(&app, &bob, &sale).await.json();
    assert_eq!(waiting.get("extensionSeconds"), None, "nothing to extend yet: {waiting}");
    assert_refused(&extend(&app, &bob, &sale).await, 403, "not_admitted");

    let reply = extend(&app, &ada, &sale).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let after = reply.json();
    let moment = |place: &Value| place["admittedUntil"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(moment(&after).duration_since(moment(&before)), jiff::SignedDuration::from_secs(600));
    assert_eq!((&after["status"], &after["ticket"]), (&json!("admitted"), &before["ticket"]));
    assert_eq!(after.get("extensionSeconds"), None, "it was the only one: {after}");
    let again = extend(&app, &ada, &sale).await;
    assert_eq!(
        (again.status, again.json()),
        (StatusCode::OK, after.clone()),
        "a second click gets the same reply"
    );
    assert_eq!(position(&app, &ada, &sale).await, after);
    assert_eq!(join_line(&app, &ada, &sale).await.json(), after);

    let events = merchant.get(&format!("/flash-sales/{sale}/events?limit=200")).await;
    let events: Vec<&Value> = events["items"].as_array().unwrap().iter().collect();
    let extended: Vec<_> = events.iter().filter(|event| event["kind"] == "extended").collect();
    assert_eq!(extended.len(), 1, "the second request left no trace: {events:?}");
    assert_eq!(extended[0]["until"], after["admittedUntil"]);
    let queue = format!("/flash-sales/{sale}/queue");
    let row = eventually_some("a place in line", HANG_LIMIT, async || {
        let page = merchant.get(&queue).await;
        let row =
            page["items"].as_array().unwrap().iter().find(|row| row["ticket"] == after["ticket"])?.clone();
        (row["admittedUntil"] == after["admittedUntil"]).then_some(row)
    });
    assert_eq!(row.await["status"], "admitted");

    app.shift_clock(61_000);
    let response = app.get(&format!("/api/v1/flash-sales/{sale}")).await.json();
    assert_eq!(
        (&response["available"], &response["waiting"]),
        (&json!(0), &json!(1)),
        "the unit is still set aside"
    );
    assert_eq!(order(&app, &ada, &sale, 1).await.status, StatusCode::CREATED, "after the first end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_that_is_not_used_ends_and_the_next_is_called() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    let sale = merchant.sale(&json!({"quantity": 1, "admission": line(600)})).await;
    join_line(&app, &ada, &sale).await;
    wait_until_admitted(&app, &ada, &sale).await;
    join_line(&app, &bob, &sale).await;
    let after = extend(&app, &ada, &sale).await.json();
    // What was promised outlives the process that promised it.
    let app = app.restart().await;
    assert_eq!(position(&app, &ada, &sale).await["admittedUntil"], after["admittedUntil"]);
    app.shift_clock(661_000);
    let called = wait_until_admitted(&app, &bob, &sale).await;
    assert_eq!(called["extensionSeconds"], 600, "the next in line has the same right");
    assert_refused(&extend(&app, &ada, &sale).await, 404, "not_in_line");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_gives_no_more_time_than_it_promises() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let ada = app.register("ada").await;
    let sale = merchant.sale(&json!({"admission": line(0)})).await;
    let reply = app.get(&format!("/api/v1/flash-sales/{sale}")).await.json();
    assert_eq!(reply["admission"].get("extensionSeconds"), None, "none is none: {reply}");
    join_line(&app, &ada, &sale).await;
    assert_eq!(wait_until_admitted(&app, &ada, &sale).await.get("extensionSeconds"), None);
    assert_refused(&extend(&app, &ada, &sale).await, 409, "no_extension");
    let open = merchant.sale(&json!({})).await;
    assert_refused(&extend(&app, &ada, &open).await, 409, "no_line");
    assert_refused(&extend(&app, &ada, UNKNOWN).await, 404, "sale_unknown");

    // A sale that runs may promise more of it, and never less.
    let path = format!("/flash-sales/{sale}");
    let edited = merchant.patch(&path, &json!({"admission": line(30)})).await;
    assert_eq!((edited.status, &edited.json()["admission"]), (StatusCode::OK, &line(30)), "{edited:?}");
    assert_refused(&merchant.patch(&path, &json!({"admission": line(29)})).await, 409, "promise_made");
    assert_eq!(position(&app, &ada, &sale).await["extensionSeconds"], 30);
    assert_eq!(extend(&app, &ada, &sale).await.status, StatusCode::OK);
    let longer = merchant.patch(&path, &json!({"admission": line(40)})).await;
    assert_eq!(longer.status, StatusCode::OK, "{longer:?}");
    assert_eq!(position(&app, &ada, &sale).await.get("extensionSeconds"), None, "still once");
}
