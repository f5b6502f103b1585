//! Request limits: their headers, their refusals, and whom they count.

use crate::support::{HttpReply, PASSWORD, SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use server::http::limits::shared::LimiterTimeouts;
use std::time::Duration;
use test_servers::postgres::PostgresServer;
use test_servers::redis::RedisServer;

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
async fn a_refresh_is_not_held_up_by_sign_ins_behind_the_same_address() {
    let app = TestApp::start_with(&["--limit-auth", "1/1d", "--limit-refresh", "2/1d"]).await;
    let ada = app.register("ada").await;
    assert_eq!(app.post(LOGIN, &json!({})).await.problem(), "rate_limited");
    let refresh = async |token: &str| app.post("/api/v1/auth/refresh", &json!({"refreshToken": token})).await;
    let refreshed = refresh(&ada.refresh).await;
    assert_eq!(refreshed.status, StatusCode::OK, "{refreshed:?}");
    assert_eq!(refreshed.header("ratelimit-policy"), r#""refresh";q=2;w=86400"#);
    assert_eq!(refresh("dbr_unknown").await.problem(), "bad_refresh_token");
    assert_eq!(refresh("dbr_unknown").await.problem(), "rate_limited");
    // With a valid access token the caller has a bucket of its own.
    let next = SignedInUser::from_body(&refreshed.json());
    let body = json!({"refreshToken": next.refresh});
    assert_eq!(app.post_as(&next.access, "/api/v1/auth/refresh", &body).await.status, StatusCode::OK);
    let classes = ["auth", "refresh"].map(|class| format!("doorbuster_limited_total{{class=\"{class}\"}} 1"));
    app.wait_for_metrics(&classes.each_ref().map(String::as_str)).await;
}

/// Flags with which each request may come from an address of its own, and each account has three guesses.
const THREE_GUESSES: [&str; 6] =
    ["--limit-guess", "3/1d", "--limit-auth", "1000/1d", "--trusted-proxies", "127.0.0.1"];

/// Signs in from an address, with the access token of a session if there is one.
async fn guess(app: &TestApp, from: &str, body: &Value, token: Option<&str>) -> HttpReply {
    let request = app.request(Method::POST, LOGIN).header("x-forwarded-for", from).json(body);
    HttpReply::send(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

/// Registers a buyer whose home is this address.
async fn register_at(app: &TestApp, username: &str, home: &str) -> SignedInUser {
    let body =
        json!({"email": format!("{username}@example.com"), "username": username, "password": PASSWORD});
    let request = app.request(Method::POST, "/api/v1/auth/register").header("x-forwarded-for", home);
    SignedInUser::from_body(&HttpReply::send(request.json(&body)).await.json())
}

const HOME: &str = "203.0.113.1";

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_one_account_are_limited_wherever_they_come_from_and_the_owner_signs_in() {
    let app = TestApp::start_with(&THREE_GUESSES).await;
    let ada = register_at(&app, "ada", HOME).await;
    let (wrong, right) = (
        json!({"username": "ADA", "password": "wrong password"}),
        json!({"email": "ada@example.com", "password": PASSWORD}),
    );
    let from = |n: u8| format!("198.51.100.{n}");
    for n in 0..3 {
        assert_eq!(guess(&app, &from(n), &wrong, None).await.problem(), "bad_credentials");
    }
    for body in [&wrong, &right] {
        let refused = guess(&app, &from(9), body, None).await;
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (429, "rate_limited"));
        assert_eq!(refused.json()["limit"], "guess");
        let retry_after_s: u32 = refused.header("retry-after").parse().unwrap();
        assert!((28_000..=28_800).contains(&retry_after_s), "{retry_after_s}");
    }
    // The owner, at home or with a session, as often as they like; and the new address is known then.
    for _ in 0..5 {
        assert_eq!(guess(&app, HOME, &right, None).await.status, StatusCode::OK);
        assert_eq!(guess(&app, &from(50), &right, Some(&ada.access)).await.status, StatusCode::OK);
    }
    assert_eq!(guess(&app, &from(50), &right, None).await.status, StatusCode::OK);
    // Another session does not make a stranger the owner, and other accounts are counted apart.
    let eve = register_at(&app, "eve", &from(9)).await;
    assert_eq!(guess(&app, &from(9), &wrong, Some(&eve.access)).await.problem(), "rate_limited");
    let bob = json!({"username": "eve", "password": "wrong password"});
    assert_eq!(guess(&app, &from(10), &bob, None).await.problem(), "bad_credentials");
    // A guess comes back after a while.
    app.shift_clock(28_801_000);
    assert_eq!(guess(&app, &from(11), &wrong, None).await.problem(), "bad_credentials");
    assert_eq!(guess(&app, &from(12), &wrong, None).await.problem(), "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_address_and_a_session_have_three_guesses_of_their_own() {
    let app = TestApp::start_with(&THREE_GUESSES).await;
    let ada = register_at(&app, "ada", HOME).await;
    let wrong = json!({"username": "ada", "password": "wrong password"});
    for expected in ["bad_credentials", "bad_credentials", "bad_credentials", "rate_limited"] {
        assert_eq!(guess(&app, HOME, &wrong, None).await.problem(), expected);
    }
    // The password of a session's owner cannot be guessed faster.
    let change = json!({"currentPassword": "wrong password", "newPassword": "a brand new password"});
    for expected in ["invalid_body", "invalid_body", "invalid_body", "rate_limited"] {
        assert_eq!(app.post_as(&ada.access, "/api/v1/auth/password", &change).await.problem(), expected);
    }
    let right = json!({"username": "ada", "password": PASSWORD});
    assert_eq!(guess(&app, "198.51.100.1", &right, None).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_an_account_is_limited_as_an_account_is() {
    let app = TestApp::start_with(&THREE_GUESSES).await;
    for name in [json!({"username": "nobody"}), json!({"email": "nobody@example.com"})] {
        let mut body = name;
        body["password"] = "wrong password".into();
        let mut replies = Vec::new();
        for n in 0..4 {
            replies.push(guess(&app, &format!("198.51.100.{n}"), &body, None).await.problem());
        }
        assert_eq!(replies, ["bad_credentials", "bad_credentials", "bad_credentials", "rate_limited"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_counted_by_all_instances_of_a_cluster_together() {
    let (server, database) = (RedisServer::start(), PostgresServer::shared().create_database());
    let url = server.url();
    let flags = [&THREE_GUESSES[..], &["--database", &database, "--valkey", &url]].concat();
    let long = Duration::from_secs(30);
    let timeouts = LimiterTimeouts { count: long, connect: long };
    let start = || TestApp::start_with_settings(&flags, |settings| settings.limiter_timeouts = timeouts);
    let one = start().await;
    let two = start().await;
    register_at(&one, "ada", HOME).await;
    let body = |password: &str| json!({"username": "ada", "password": password});
    for (n, app) in [&one, &two, &one].into_iter().enumerate() {
        let reply = guess(app, &format!("198.51.100.{n}"), &body("wrong password"), None).await;
        assert_eq!(reply.problem(), "bad_credentials");
    }
    for app in [&one, &two] {
        assert_eq!(guess(app, "198.51.100.9", &body(PASSWORD), None).await.problem(), "rate_limited");
        assert_eq!(guess(app, HOME, &body(PASSWORD), None).await.status, StatusCode::OK);
    }
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
