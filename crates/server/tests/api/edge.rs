//! What all replies share: request ids, security headers, CORS; and what keeps one request from hurting others.

use crate::support::{HttpReply, TestApp};
use axum::Router;
use axum::routing::get;
use reqwest::{Method, StatusCode};
use server::http::edge::HttpEdge;
use server::http::server::{bind, listen, serve};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_carries_the_security_headers() {
    let app = TestApp::start().await;
    for path in ["/livez", "/api/v1/auth/me", "/nowhere", "/docs/", "/openapi.json", "/", "/s/lamp"] {
        let reply = app.get(path).await;
        for (name, value) in [
            ("strict-transport-security", "max-age=31536000; includeSubDomains"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-permitted-cross-domain-policies", "none"),
        ] {
            assert_eq!(reply.header(name), value, "{path}");
        }
        assert!(!reply.headers.contains_key("server"), "{path}");
        assert!(!reply.headers.contains_key("x-powered-by"), "{path}");
        let policy = reply.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}");
        assert_eq!(
            policy.contains("script-src 'self'"),
            path.starts_with("/docs") || ["/openapi.json", "/", "/s/lamp"].contains(&path)
        );
        assert!(!policy.contains("script-src 'self' 'unsafe"), "{path}");
    }
    assert_eq!(app.get("/api/v1/auth/me").await.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_echoed_when_it_is_sane_and_made_otherwise() {
    let app = TestApp::start().await;
    let ask = async |id: &str| {
        let reply = HttpReply::send(app.request(Method::GET, "/livez").header("x-request-id", id)).await;
        reply.header("x-request-id").to_owned()
    };
    assert_eq!(ask("trace-1.2:3/4+5=").await, "trace-1.2:3/4+5=");
    for bad in ["", "two words", "<script>", "ü", &"x".repeat(65)] {
        let made = ask(bad).await;
        assert_ne!(made, bad);
        assert_eq!(made.len(), 24, "{made}");
    }
    assert_ne!(ask("").await, ask("").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sites_may_call_only_by_setting() {
    let none = TestApp::start().await;
    let some = TestApp::start_with(&["--cors-origins", "https://shop.example,http://localhost:5173"]).await;
    let any = TestApp::start_with(&["--cors-origins", "*"]).await;
    let preflight = async |app: &TestApp, origin: &'static str| {
        let request = app.request(Method::OPTIONS, "/api/v1/auth/login").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        HttpReply::send(request.header("access-control-request-headers", "authorization,idempotency-key"))
            .await
    };
    for (app, origin, allowed) in [
        (&none, "https://shop.example", None),
        (&some, "https://shop.example", Some("https://shop.example")),
        (&some, "http://localhost:5173", Some("http://localhost:5173")),
        (&some, "https://shop.example.evil.com", None),
        (&some, "null", None),
        (&any, "https://anyone.example", Some("*")),
    ] {
        let reply = preflight(app, origin).await;
        let seen = |reply: &HttpReply| {
            reply.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(seen(&reply).as_deref(), allowed, "{origin}");
        assert!(!reply.headers.contains_key("access-control-allow-credentials"));
        match allowed {
            Some(_) => {
                assert_eq!(reply.status, StatusCode::NO_CONTENT);
                assert!(reply.header("access-control-allow-methods").contains("DELETE"));
                assert!(reply.header("access-control-allow-headers").contains("idempotency-key"));
            }
            None => assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED),
        }
        let reply =
            HttpReply::send(app.request(Method::GET, "/api/v1/auth/me").header("origin", origin)).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        assert_eq!(seen(&reply).as_deref(), allowed, "problems too, {origin}");
    }
    assert_eq!(some.get("/livez").await.header("vary"), "origin", "caches must keep origins apart");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_get_without_its_body() {
    let app = TestApp::start().await;
    let reply = HttpReply::send(app.request(Method::HEAD, "/livez")).await;
    assert_eq!((reply.status, reply.body.len()), (StatusCode::OK, 0));
    assert_eq!(reply.header("content-length"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_or_hangs_hurts_only_its_own_request() {
    let app = TestApp::start().await;
    let router = Router::new()
        .route("/panics", get(async || -> &'static str { panic!("the inside of a handler") }))
        .route("/hangs", get(async || std::future::pending::<&'static str>().await))
        .route("/works", get(async || "works"));
    let edge = Arc::new(HttpEdge::new(Arc::clone(&app.instance.app), router, &server::http::openapi()));
    let listener = listen(bind("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let settings = server::http::server::ServerSettings {
        connections_max: 10,
        network_connections_max: 10,
        head_limit: Duration::from_secs(10),
        idle_limit: Duration::from_secs(10),
        // Long enough for a busy machine to run the two handlers that do not hang.
        answer_limit: Duration::from_secs(3),
        behind_limit: Duration::from_millis(200),
        drain_limit: Duration::from_secs(10),
    };
    let serving = tokio::spawn(serve(listener, edge, settings, stopping));
    let ask = async |path: &str| HttpReply::send(app.http.get(format!("{url}{path}"))).await;

    let reply = ask("/panics").await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "internal"));
    assert!(!String::from_utf8_lossy(&reply.body).contains("inside"), "a 5xx says nothing of the inside");
    let reply = ask("/hangs").await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::GATEWAY_TIMEOUT, "timeout"));
    assert_eq!(ask("/works").await.body, b"works");
    stop.send(true).unwrap();
    assert_eq!(serving.await.unwrap(), 0);
}
