//! How a place in line ends, as its buyer is answered: over, lapsed or left, each with its moment or reason; and what a sale says of
//! itself once no buyer can be admitted any more.

use crate::merchant::{
    Merchant, assert_refused, find_place, join_line, order, position, wait_until_admitted,
};
use crate::support::{HttpReply, SignedInUser, TestApp};
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use test_servers::wait::{HANG_LIMIT, eventually_some};

/// One unit a second, a minute to buy.
fn line() -> Value {
    json!({"type": "fifo", "perSecond": 1, "checkoutSeconds": 60, "lineOpensSecondsBefore": 600})
}

async fn leave(app: &TestApp, buyer: &SignedInUser, sale: &str) -> HttpReply {
    let path = format!("/api/v1/queue/leave?flashSaleId={sale}");
    HttpReply::send(app.request(Method::DELETE, &path).bearer_auth(&buyer.access)).await
}

/// A buyer's place once it has this status.
async fn wait_for_status(app: &TestApp, buyer: &SignedInUser, sale: &str, status: &str) -> Value {
    eventually_some(status, HANG_LIMIT, async || {
        Some(position(app, buyer, sale).await).filter(|place| place["status"] == status)
    })
    .await
}

fn moment(text: &Value) -> jiff::Timestamp {
    text.as_str().unwrap_or_else(|| panic!("no moment: {text}")).parse().unwrap()
}

/// A sale of one unit with two buyers in line: the first is admitted.
async fn sale_with_line(app: &TestApp, more: &Value) -> (String, SignedInUser, SignedInUser) {
    let merchant = Merchant::sign_in(app).await;
    let mut body = json!({"quantity": 1, "admission": line()});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let sale = merchant.sale(&body).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    join_line(app, &ada, &sale).await;
    wait_until_admitted(app, &ada, &sale).await;
    join_line(app, &bob, &sale).await;
    // With more units the second buyer is admitted a second after the first.
    if body["quantity"] == 1 {
        assert_eq!(position(app, &bob, &sale).await["status"], "waiting");
    }
    (sale, ada, bob)
}

/// What a sale and the place of a buyer who waited say once the sale is over, in each place where they are read.
async fn assert_over(app: &TestApp, sale: &str, bob: &SignedInUser, reason: &str) {
    let place = position(app, bob, sale).await;
    assert_eq!((&place["status"], &place["reason"]), (&json!("over"), &json!(reason)), "{place}");
    assert_eq!((&place["position"], &place["ahead"]), (&json!(0), &json!(0)));
    assert_eq!(place["estimatedWaitSeconds"], Value::Null);
    assert_eq!((&place["ticket"], &place["availability"]), (&json!(2), &json!("over")));
    let of_sale = app.get_as(&bob.access, &format!("/api/v1/flash-sales/{sale}/queue-position")).await.json();
    assert_eq!(of_sale, place);

    let shown = app.get(&format!("/api/v1/flash-sales/{sale}")).await.json();
    assert_eq!((&shown["waiting"], &shown["availability"]), (&json!(0), &json!("over")), "{shown}");
    let list = app.get("/api/v1/flash-sales").await.json();
    let listed = list["items"].as_array().unwrap().iter().find(|item| item["id"] == sale).unwrap().clone();
    assert_eq!((&listed["waiting"], &listed["availability"]), (&json!(0), &json!("over")), "{listed}");

    let merchant = Merchant::sign_in(app).await;
    let overview = merchant.get(&format!("/flash-sales/{sale}/overview")).await;
    assert_eq!(overview["sale"]["waiting"], 0, "{overview}");
    let queue = merchant.get(&format!("/flash-sales/{sale}/queue")).await;
    let row = queue["items"].as_array().unwrap().iter().find(|row| row["ticket"] == 2).unwrap().clone();
    assert_eq!((&row["status"], row.get("position")), (&json!("over"), None), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_when_the_sale_ends_waits_for_nothing() {
    let app = TestApp::start().await;
    let ends_at = Merchant::sign_in(&app).await.moment(30_000);
    let (sale, ada, bob) = sale_with_line(&app, &json!({"endsAt": ends_at})).await;
    app.shift_clock(31_000);
    assert_over(&app, &sale, &bob, "ended").await;
    assert_eq!(position(&app, &ada, &sale).await["status"], "admitted", "a turn outlives the sale");
    assert_refused(&join_line(&app, &bob, &sale).await, 410, "ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_when_the_sale_is_closed_is_answered_so_also_after_a_restart() {
    let app = TestApp::start().await;
    let (sale, ada, bob) = sale_with_line(&app, &json!({})).await;
    let merchant = Merchant::sign_in(&app).await;
    let reply = merchant.post(&format!("/flash-sales/{sale}/close"), &json!({})).await;
    assert_eq!(reply.json()["waiting"], 0, "{reply:?}");
    assert_over(&app, &sale, &bob, "closed").await;
    let charts = eventually_some("the closing in the charts", HANG_LIMIT, async || {
        let series = merchant.get(&format!("/flash-sales/{sale}/series")).await;
        (series["projectionLag"] == 0).then_some(series)
    });
    let charts = charts.await;
    assert_eq!(charts["buckets"].as_array().unwrap().last().unwrap()["units"]["waiting"], 0, "{charts}");
    assert_eq!(order(&app, &ada, &sale, 1).await.status, StatusCode::CREATED, "a turn outlives the sale");
    let app = app.restart().await;
    assert_over(&app, &sale, &bob, "closed").await;
    assert_eq!(leave(&app, &bob, &sale).await.status, StatusCode::NO_CONTENT);
    assert_eq!(wait_for_status(&app, &bob, &sale, "left").await["ticket"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sold_out_sale_stays_sold_out_when_it_ends() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant.sale(&json!({"quantity": 1, "payment": "none"})).await;
    let ada = app.register("ada").await;
    assert_eq!(order(&app, &ada, &sale, 1).await.status, StatusCode::CREATED);
    let open = merchant.sale(&json!({"quantity": 1})).await;
    for id in [&sale, &open] {
        merchant.post(&format!("/flash-sales/{id}/close"), &json!({})).await;
    }
    let availability =
        async |id: &str| app.get(&format!("/api/v1/flash-sales/{id}")).await.json()["availability"].clone();
    assert_eq!(availability(&sale).await, "sold_out");
    assert_eq!(availability(&open).await, "over");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_a_sale_that_is_not_listed_any_more_is_answered_that_it_is_over() {
    let app = TestApp::start().await;
    let (sale, _ada, bob) = sale_with_line(&app, &json!({})).await;
    let merchant = Merchant::sign_in(&app).await;
    merchant.post(&format!("/flash-sales/{sale}/close"), &json!({})).await;
    // No call does this to a sale with buyers; tables of an older backup would.
    let database = app.database().await;
    sqlx::query("UPDATE sales SET deleted_at = 1 WHERE id = $1")
        .bind(&sale)
        .execute(&database)
        .await
        .unwrap();
    database.close().await;
    let app = app.restart().await;
    let place = position(&app, &bob, &sale).await;
    assert_eq!((&place["status"], &place["reason"]), (&json!("over"), &json!("deleted")), "{place}");
    let eve = app.register("eve").await;
    assert_refused(&find_place(&app, &eve, &sale).await, 404, "sale_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_passed_is_answered_with_its_moment_until_the_buyer_joins_again() {
    let app = TestApp::start().await;
    let (sale, ada, bob) = sale_with_line(&app, &json!({})).await;
    let until = moment(&position(&app, &ada, &sale).await["admittedUntil"]);
    app.shift_clock(61_000);
    wait_until_admitted(&app, &bob, &sale).await;
    let place = wait_for_status(&app, &ada, &sale, "lapsed").await;
    assert_eq!(place["ticket"], 1, "{place}");
    let late = moment(&place["lapsedAt"]).duration_since(until);
    assert!(late >= SignedDuration::ZERO && late < SignedDuration::from_secs(60), "{place}, until {until}");
    assert_eq!((&place["position"], &place["estimatedWaitSeconds"]), (&json!(0), &Value::Null));
    assert_eq!((place.get("admittedUntil"), place.get("leftAt")), (None, None));
    // Buying takes a place again, and leaving too.
    assert_refused(&order(&app, &ada, &sale, 1).await, 403, "not_in_line");
    assert_refused(&leave(&app, &ada, &sale).await, 404, "not_in_line");
    let app = app.restart().await;
    let again = position(&app, &ada, &sale).await;
    for field in ["status", "ticket", "lapsedAt", "receipt"] {
        assert_eq!(again[field], place[field], "{field} after a restart");
    }
    assert_eq!(join_line(&app, &ada, &sale).await.json()["ticket"], 3);
    let place = position(&app, &ada, &sale).await;
    assert_eq!((&place["ticket"], place.get("lapsedAt")), (&json!(3), None), "{place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_place_ended_is_forgotten_a_day_after_the_sale() {
    let app = TestApp::start().await;
    let (sale, ada, bob) = sale_with_line(&app, &json!({})).await;
    let before = moment(&json!(Merchant::sign_in(&app).await.moment(0)));
    assert_eq!(leave(&app, &ada, &sale).await.status, StatusCode::NO_CONTENT);
    let place = wait_for_status(&app, &ada, &sale, "left").await;
    assert!(moment(&place["leftAt"]) >= before, "{place}");
    assert_eq!((place.get("lapsedAt"), place.get("reason")), (None, None));
    wait_until_admitted(&app, &bob, &sale).await;
    assert_eq!(order(&app, &bob, &sale, 1).await.status, StatusCode::CREATED);
    assert_refused(&find_place(&app, &bob, &sale).await, 404, "not_in_line");
    let eve = app.register("eve").await;
    assert_refused(&find_place(&app, &eve, &sale).await, 404, "not_in_line");
    // The access tokens last a day, so the clock is turned in steps.
    app.shift_clock(3_600_000 + 82_000_000);
    assert_eq!(position(&app, &ada, &sale).await["status"], "left");
    let ada = sign_in(&app, "ada").await;
    app.shift_clock(6_000_000);
    assert_refused(&find_place(&app, &ada, &sale).await, 404, "not_in_line");
}

async fn sign_in(app: &TestApp, username: &str) -> SignedInUser {
    let body = json!({"email": format!("{username}@example.com"), "password": crate::support::PASSWORD});
    let reply = app.post("/api/v1/auth/login", &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    SignedInUser::from_body(&reply.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_of_a_turn_stands_still_in_a_pause() {
    let app = TestApp::start().await;
    let (sale, ada, bob) = sale_with_line(&app, &json!({"quantity": 5})).await;
    let merchant = Merchant::sign_in(&app).await;
    wait_until_admitted(&app, &bob, &sale).await;
    let until = moment(&position(&app, &ada, &sale).await["admittedUntil"]);
    let before = moment(&json!(merchant.moment(0)));
    merchant.post(&format!("/flash-sales/{sale}/pause"), &json!({})).await;
    let after = moment(&json!(merchant.moment(0)));
    let paused = position(&app, &ada, &sale).await;
    assert_eq!((&paused["status"], paused.get("admittedUntil")), (&json!("admitted"), None), "{paused}");
    let rest = paused["remainingSeconds"].as_i64().unwrap();
    let bounds = until.duration_since(after).as_secs()..=until.duration_since(before).as_secs() + 1;
    assert!(bounds.contains(&rest), "{rest} is not in {bounds:?}");
    let eve = app.register("eve").await;
    let waiting = join_line(&app, &eve, &sale).await.json();
    assert_eq!(
        waiting["estimatedWaitSeconds"],
        Value::Null,
        "nobody knows how long a pause lasts: {waiting}"
    );

    app.shift_clock(600_000);
    assert_eq!(position(&app, &ada, &sale).await, paused, "ten minutes later");
    merchant.post(&format!("/flash-sales/{sale}/resume"), &json!({})).await;
    let resumed = position(&app, &ada, &sale).await;
    assert_eq!(resumed.get("remainingSeconds"), None, "{resumed}");
    let later = moment(&resumed["admittedUntil"]).duration_since(until).as_secs();
    assert!((600..660).contains(&later), "{later} s were given back");
}
