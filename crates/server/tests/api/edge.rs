//! What all replies share: request ids, security headers, CORS; and what keeps one request from hurting others.

use crate::merchant::{Merchant, eur, id};
use crate::support::{ADMIN_EMAIL, HttpReply, PASSWORD, TestApp};
use axum::Router;
use axum::routing::get;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use server::http::edge::HttpEdge;
use server::http::server::{bind, listen, serve};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_carries_the_security_headers_and_pages_those_that_only_pages_need() {
    let app = TestApp::start().await;
    let json = ["/api/v1/auth/me", "/nowhere", "/api/v1/flash-sales", "/health"];
    let others = ["/livez", "/openapi.json", "/docs/", "/", "/s/lamp"];
    for path in json.into_iter().chain(others) {
        let reply = app.get(path).await;
        for (name, value) in [
            ("strict-transport-security", "max-age=31536000; includeSubDomains"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(reply.header(name), value, "{path}");
        }
        for (name, value) in [
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-permitted-cross-domain-policies", "none"),
        ] {
            let value = others.contains(&path).then_some(value);
            let found = reply.headers.get(name).map(|found| found.to_str().unwrap());
            assert_eq!(found, value, "{name} of {path}");
        }
        assert!(!reply.headers.contains_key("server"), "{path}");
        assert!(!reply.headers.contains_key("x-powered-by"), "{path}");
        let policy = reply.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
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
    assert_eq!(some.get("/livez").await.header("vary"), "Origin", "caches must keep origins apart");
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

#[tokio::test(flavor = "multi_thread")]
async fn long_json_is_compressed_for_who_accepts_it() {
    let app = TestApp::start().await;
    let merchant = Merchant::sign_in(&app).await;
    let product = merchant.product("A thing").await;
    for _ in 0..25 {
        let sale = merchant.sale_body(&product, &json!({}));
        assert_eq!(merchant.post("/flash-sales", &sale).await.status, StatusCode::CREATED);
    }
    let ask = async |path: &str, accept: &str| {
        HttpReply::send(app.request(Method::GET, path).header("accept-encoding", accept)).await
    };
    for path in ["/api/v1/flash-sales?limit=25", "/openapi.json"] {
        let plain = ask(path, "identity").await;
        assert!(!plain.headers.contains_key("content-encoding"), "{path}");
        assert_eq!(plain.header("vary"), "accept-encoding", "a cache keeps the forms apart: {path}");
        for coding in ["br", "gzip"] {
            let packed = ask(path, coding).await;
            assert_eq!(
                (packed.status, packed.header("content-encoding")),
                (StatusCode::OK, coding),
                "{path}"
            );
            assert_eq!(packed.header("vary"), "accept-encoding", "{path}");
            assert_eq!(packed.header("content-length"), packed.body.len().to_string(), "{path}");
            assert!(packed.body.len() < plain.body.len() / 4, "{path}: {} bytes", packed.body.len());
        }
        let read = ask(path, "gzip").await.decoded_body();
        let read: Value = serde_json::from_slice(&read).unwrap();
        if path == "/openapi.json" {
            assert_eq!(read, plain.json());
        }
    }
    // A sale has a weak tag: it stands for all forms.
    let described = json!({"name": "A thing", "price": eur(4999), "description": "word ".repeat(500)});
    let described = id(&merchant.post("/products", &described).await.json());
    let sale = merchant.post("/flash-sales", &merchant.sale_body(&described, &json!({"slug": "long"}))).await;
    assert_eq!(sale.status, StatusCode::CREATED);
    let (plain, packed) = (
        ask("/api/v1/flash-sales/long", "identity").await,
        ask("/api/v1/flash-sales/long", "br, gzip").await,
    );
    assert_eq!(packed.header("content-encoding"), "br");
    assert_eq!(packed.header("etag"), plain.header("etag"));
    let again =
        app.request(Method::GET, "/api/v1/flash-sales/long").header("if-none-match", packed.header("etag"));
    let again = HttpReply::send(again.header("accept-encoding", "br")).await;
    assert_eq!((again.status, again.header("vary")), (StatusCode::NOT_MODIFIED, "accept-encoding"));
    // Tokens are never compressed beside what a client has sent, and neither is what is short.
    let login = app.request(Method::POST, "/api/v1/auth/login").header("accept-encoding", "br");
    let login = HttpReply::send(login.json(&json!({"email": ADMIN_EMAIL, "password": PASSWORD}))).await;
    assert_eq!(login.status, StatusCode::OK);
    for reply in [login, ask("/health", "br").await, ask("/socket.io/?EIO=4&transport=polling", "br").await] {
        assert!(!reply.headers.contains_key("content-encoding"), "{reply:?}");
    }
}
