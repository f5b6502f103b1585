//! Request limits: their headers, their refusals, and whom they count.

use crate::support::{HttpReply, PASSWORD, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::json;

const LOGIN: &str = "/api/v1/auth/login";
const ME: &str = "/api/v1/auth/me";

async fn login_from(app: &TestApp, forwarded: &str) -> HttpReply {
    let body = json!({"username": "x", "password": PASSWORD});
    HttpReply::send(app.request(Method::POST, LOGIN).header("x-forwarded-for", forwarded).json(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_tell_the_limit_and_what_is_left() {
    let app = TestApp::start_with(&[]).await;
    let reply = app.get(ME).await;
    assert_eq!(reply.header("ratelimit-policy"), r#""read";q=6000;w=60"#);
    assert!(reply.header("ratelimit").starts_with(r#""read";r=5999;t="#), "{reply:?}");
    let reply = app.post(LOGIN, &json!({})).await;
    assert_eq!(reply.header("ratelimit-policy"), r#""auth";q=100;w=900"#);
    assert!(reply.header("ratelimit").starts_with(r#""auth";r=99;t="#), "{reply:?}");
    assert!(!app.get("/livez").await.headers.contains_key("ratelimit"), "probes are not limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hundred_and_first_login_is_refused_until_one_has_come_back() {
    // One login comes back each 864 s: none while the test runs.
    let app = TestApp::start_with(&["--limit-auth", "100/1d"]).await;
    for _ in 0..100 {
        assert_ne!(app.post(LOGIN, &json!({})).await.status, StatusCode::TOO_MANY_REQUESTS);
    }
    let reply = app.post(LOGIN, &json!({})).await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    let retry_after: i64 = reply.header("retry-after").parse().unwrap();
    assert!((600..=864).contains(&retry_after), "{retry_after}");
    assert!(reply.header("ratelimit").starts_with(r#""auth";r=0;t="#), "{reply:?}");
    assert_eq!(app.get(ME).await.status, StatusCode::UNAUTHORIZED, "reads have a limit of their own");

    app.shift_clock(retry_after * 1000);
    assert_ne!(app.post(LOGIN, &json!({})).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_behind_one_address_are_counted_apart() {
    let app = TestApp::start_with(&["--limit-read", "3/1h"]).await;
    let (ada, bob) = (app.register("ada").await.access, app.register("bob").await.access);
    for _ in 0..3 {
        assert_eq!(app.get_as(&ada, ME).await.status, StatusCode::OK);
    }
    assert_eq!(app.get_as(&ada, ME).await.problem(), "rate_limited");
    assert_eq!(app.get_as(&bob, ME).await.status, StatusCode::OK);
    assert_eq!(app.get(ME).await.status, StatusCode::UNAUTHORIZED, "the address itself is counted apart too");
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_counted_by_address_whatever_token_they_carry() {
    let app = TestApp::start_with(&["--limit-auth", "3/1h"]).await;
    let (ada, bob) = (app.register("ada").await.access, app.register("bob").await.access);
    assert_ne!(app.post_as(&ada, LOGIN, &json!({})).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(app.post_as(&bob, LOGIN, &json!({})).await.problem(), "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_address_counts_only_from_a_trusted_proxy() {
    let app = TestApp::start_with(&["--limit-auth", "1/1h"]).await;
    assert_ne!(login_from(&app, "203.0.113.1").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(login_from(&app, "203.0.113.2").await.problem(), "rate_limited", "the header is ignored");

    let app =
        TestApp::start_with(&["--limit-auth", "1/1h", "--trusted-proxies", "127.0.0.1,10.0.0.0/8"]).await;
    assert_ne!(login_from(&app, "203.0.113.1").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_ne!(login_from(&app, "203.0.113.2").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(login_from(&app, "203.0.113.1, 10.1.2.3").await.problem(), "rate_limited");
    assert_eq!(login_from(&app, "6.6.6.6, 203.0.113.1").await.problem(), "rate_limited", "a forged hop");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_can_be_turned_off() {
    let app = TestApp::start().await;
    for _ in 0..150 {
        let reply = app.post(LOGIN, &json!({})).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!reply.headers.contains_key("ratelimit"));
    }
}
