//! The feed of a line over HTTP: what it says of the places of its buyers, and how caches may serve it.

use crate::merchant::{Merchant, assert_refused, join_line, position, wait_until_admitted};
use crate::support::{HttpReply, SignedInUser, TestApp};
use documents::LineFeedDocument;
use documents::line_feed::LINE_FEED_LEN_MAX;
use reqwest::{Method, StatusCode};
use sale::{Ticket, Timestamp};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use test_servers::wait::{HANG_LIMIT, eventually_some};

fn line() -> Value {
    json!({"type": "fifo", "perSecond": 1000, "checkoutSeconds": 600, "lineOpensSecondsBefore": 3600})
}

fn now(app: &TestApp) -> Timestamp {
    app.instance.app.shop.engine.now()
}

fn path(sale: &str) -> String {
    format!("/api/v1/flash-sales/{sale}/line-feed")
}

/// The feed in the next second: what was answered before is in it.
async fn next_feed(app: &TestApp, sale: &str) -> LineFeedDocument {
    app.shift_clock(1_000);
    let reply = app.get(&path(sale)).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.header("cache-control"), "public, max-age=1");
    assert!(reply.body.len() <= LINE_FEED_LEN_MAX, "{} bytes", reply.body.len());
    serde_json::from_slice(&reply.body).unwrap()
}

/// Compares what the feed says of a buyer with the engine's answer.
async fn assert_agrees(app: &TestApp, sale: &str, feed: &LineFeedDocument, buyer: &SignedInUser) -> Value {
    let before = now(app);
    let place = position(app, buyer, sale).await;
    let after = now(app);
    let ticket = Ticket(u32::try_from(place["ticket"].as_u64().unwrap()).unwrap());
    let line = feed.line.as_ref().unwrap().to_feed().unwrap();
    let shown = line.position(ticket);
    let expected = if place["status"] == "waiting" { place["position"].as_u64() } else { None };
    assert_eq!(shown.map(u64::from), expected, "{place}, {feed:?}");
    if let Some(shown) = shown {
        let [most, least] = [before, after].map(|at| feed.pace().estimate_wait_s(at, ticket, shown));
        let answered = place["estimatedWaitSeconds"].as_u64();
        assert!(least <= answered && answered <= most, "{least:?} to {most:?}: {place}");
    }
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn each_buyer_finds_the_own_place_in_it() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let body = json!({"quantity": 2, "startsAt": merchant.moment(600_000), "admission": line()});
    let sale = merchant.sale(&body).await;
    let empty = next_feed(&app, &sale).await;
    let (status, listed) = (json!(empty.status), empty.line.clone().unwrap());
    assert_eq!((status, listed.waiting, listed.last_ticket), (json!("upcoming"), 0, Ticket(0)));

    let mut buyers = Vec::new();
    for number in 0..9 {
        let buyer = app.register(&format!("buyer{number}")).await;
        join_line(&app, &buyer, &sale).await;
        buyers.push(buyer);
    }
    for left in [0, 4, 8] {
        let leave = app.request(Method::DELETE, &format!("/api/v1/queue/leave?flashSaleId={sale}"));
        let reply = HttpReply::send(leave.bearer_auth(&buyers[left].access)).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
    }
    let feed = next_feed(&app, &sale).await;
    let listed = feed.line.as_ref().unwrap();
    assert_eq!((listed.serving, listed.last_ticket, listed.waiting), (Ticket(1), Ticket(9), 6), "{feed:?}");
    for (number, buyer) in buyers.iter().enumerate().filter(|(number, _)| ![0, 4, 8].contains(number)) {
        let place = assert_agrees(&app, &sale, &feed, buyer).await;
        assert_eq!(place["ticket"], number + 1);
    }

    app.shift_clock(700_000);
    for admitted in [1, 2] {
        wait_until_admitted(&app, &buyers[admitted], &sale).await;
    }
    let feed = next_feed(&app, &sale).await;
    assert_eq!((feed.available, feed.admitted, feed.units_left), (0, 2, 2), "{feed:?}");
    assert_eq!(feed.line.as_ref().unwrap().serving, Ticket(3));
    for waiting in [1, 2, 3, 5, 6, 7] {
        assert_agrees(&app, &sale, &feed, &buyers[waiting]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_requests_of_a_second_get_one_document() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant
        .sale(&json!({"quantity": 1, "startsAt": merchant.moment(600_000), "admission": line()}))
        .await;
    // Whatever the machine does meanwhile, some requests come in one second.
    let joined = AtomicU32::new(0);
    let reply = eventually_some("two replies of one second", HANG_LIMIT, async || {
        let before = app.get(&path(&sale)).await;
        let buyer = app.register(&format!("buyer{}", joined.fetch_add(1, Ordering::Relaxed))).await;
        join_line(&app, &buyer, &sale).await;
        let after = app.get(&path(&sale)).await;
        (before.body == after.body).then_some(after)
    })
    .await;
    let asked = app.request(Method::GET, &path(&sale)).header("if-none-match", reply.header("etag"));
    let known = HttpReply::send(asked).await;
    // The second may be over, and another buyer is in line then.
    assert!([StatusCode::NOT_MODIFIED, StatusCode::OK].contains(&known.status), "{known:?}");

    let feed = next_feed(&app, &sale).await;
    assert_eq!(feed.line.unwrap().waiting, joined.into_inner(), "the next second has all of them");
    app.shift_clock(1_000);
    let settled = app.get(&path(&sale)).await;
    app.shift_clock(5_000);
    let asked = app.request(Method::GET, &path(&sale)).header("if-none-match", settled.header("etag"));
    let unchanged = HttpReply::send(asked).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(unchanged.header("cache-control"), "public, max-age=1");
    assert_eq!(unchanged.header("etag"), settled.header("etag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sales_are_answered_as_well_and_as_cacheable() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let unknown = app.get(&path("no-such-sale")).await;
    assert_refused(&unknown, 404, "sale_unknown");
    assert_eq!(unknown.header("cache-control"), "public, max-age=1");
    let open = merchant.sale(&json!({"quantity": 1})).await;
    let refused = app.get(&path(&open)).await;
    assert_refused(&refused, 409, "no_line");
    assert_eq!(refused.header("cache-control"), "public, max-age=1");

    let sale = merchant.sale(&json!({"quantity": 1, "admission": line()})).await;
    let buyers = [app.register("ada").await, app.register("bob").await];
    for buyer in &buyers {
        join_line(&app, buyer, &sale).await;
    }
    wait_until_admitted(&app, &buyers[0], &sale).await;
    assert_eq!(merchant.post(&format!("/flash-sales/{sale}/pause"), &json!({})).await.status, StatusCode::OK);
    let paused = next_feed(&app, &sale).await;
    assert_eq!((json!(paused.status), paused.paused), (json!("paused"), true));
    assert_agrees(&app, &sale, &paused, &buyers[1]).await;
    assert_eq!(paused.pace().estimate_wait_s(now(&app), Ticket(2), 1), None);

    assert_eq!(merchant.post(&format!("/flash-sales/{sale}/close"), &json!({})).await.status, StatusCode::OK);
    let closed = next_feed(&app, &sale).await;
    assert_eq!((json!(closed.status), json!(closed.availability)), (json!("closed"), json!("over")));
    assert_eq!(closed.line, None, "no turn comes any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_the_same_after_a_restart() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let sale = merchant
        .sale(&json!({"quantity": 1, "startsAt": merchant.moment(600_000), "admission": line()}))
        .await;
    let mut buyers = Vec::new();
    for name in ["ada", "bob", "cem"] {
        let buyer = app.register(name).await;
        join_line(&app, &buyer, &sale).await;
        buyers.push(buyer);
    }
    let before = next_feed(&app, &sale).await;
    let app = app.restart().await;
    let after = next_feed(&app, &sale).await;
    assert_eq!((after.version, &after.line), (before.version, &before.line));
    for buyer in &buyers {
        assert_agrees(&app, &sale, &after, buyer).await;
    }
}
