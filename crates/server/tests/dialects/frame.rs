//! What all dialects share: listeners and prefixes, lenient bodies, errors in the dialect's shape, CORS, limits, admin calls.

use crate::client::{DialectClient, DialectReply};
use crate::support::TestApp;
use engine::clock::SystemClock;
use reqwest::Method;
use serde_json::{Value, json};
use server::commands::instance::ServerInstance;
use server::commands::settings::Serve;
use server::http::dialects::Dialect;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const OWN_LISTENER: [&str; 4] = ["--limits", "off", "--dialects", "drop=127.0.0.1:0"];
const ORIGIN: &str = "http://localhost:3000";

#[tokio::test(flavor = "multi_thread")]
async fn a_dialect_owns_the_root_of_its_listener_or_is_below_its_prefix() {
    let app = TestApp::start_with(&OWN_LISTENER).await;
    let client = DialectClient::of(&app, Dialect::Drop);
    assert_eq!(client.get("/health").await.expect(200)["status"], "healthy");
    for native in ["/api/v1/flash-sales", "/", "/metrics", "/socket.io/?EIO=4&transport=polling"] {
        let path = native.split('?').next().unwrap();
        assert_eq!(client.get(native).await.expect(404), json!({"error": "Not found", "path": path}));
    }
    let unknown = app.get("/dialects/drop/health").await;
    assert_eq!(unknown.status, 404, "it is not mounted on the main listener");

    let app = TestApp::start_with(&["--limits", "off", "--dialects", "drop"]).await;
    let client = DialectClient::of(&app, Dialect::Drop);
    assert_eq!(client.get("/health").await.expect(200)["status"], "healthy");
    assert_eq!(client.get("/nothing").await.expect(404), json!({"error": "Not found", "path": "/nothing"}));
    assert_eq!(client.get("").await.expect(404)["path"], "/");
    assert_eq!(app.get("/dialects/dropped/health").await.status, 404);
    let wrong = DialectReply::send(client.request(Method::DELETE, "/api/sale/status")).await;
    assert_eq!(wrong.expect(404)["path"], "/api/sale/status");
    assert!(!wrong.header("x-request-id").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_read_leniently_and_refused_in_the_shape_of_the_dialect() {
    let app = TestApp::start_with(&OWN_LISTENER).await;
    let client = DialectClient::of(&app, Dialect::Drop);
    let purchase = "/api/sale/purchase";
    // A body that is read has a user, so the next thing that is missing is the sale.
    for (content_type, body) in [
        (Some("application/json"), r#"{"userId": 12, "other": [1]}"#),
        (Some("application/json; charset=utf-8"), r#"{"userId": "ada"}"#),
        (Some("text/plain"), r#" {"userId": "ada"}"#),
        (None, r#"{"userId": "ada"}"#),
        (None, "userId=ada"),
        (Some("application/x-www-form-urlencoded"), "userId=&userId=ada"),
        (Some("application/octet-stream"), "userId=ada"),
    ] {
        let reply = client.post_raw(purchase, content_type, body).await;
        assert_eq!(reply.expect(503)["success"], false, "{body}");
    }
    for (content_type, body) in [
        (Some("application/json"), ""),
        (Some("application/json"), "null"),
        (Some("application/json"), r#"{"userId": null}"#),
        (Some("application/json"), "[1]"),
        (Some("application/json"), "7"),
        (Some("application/json"), "{"),
        (None, "ada"),
        (None, ""),
        (Some("application/x-www-form-urlencoded"), r#"{"userId": "ada"}"#),
    ] {
        let refused = client.post_raw(purchase, content_type, body).await.expect(400);
        assert_eq!(refused["success"], false, "{body}: {refused}");
        assert!(refused["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}: {refused}");
    }
    let large = format!("{{\"userId\": \"{}\"}}", "a".repeat(70_000));
    assert_eq!(client.post_raw(purchase, None, &large).await.expect(413)["success"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_named_origins_may_send_credentials() {
    let flags = ["--dialect-origins", ORIGIN, "--cors-origins", "https://shop.example"];
    let app = TestApp::start_with(&[&OWN_LISTENER[..], &flags].concat()).await;
    let client = DialectClient::of(&app, Dialect::Drop);
    for path in ["/health", "/nothing"] {
        let reply = DialectReply::send(client.request(Method::GET, path).header("origin", ORIGIN)).await;
        assert_eq!(reply.header("access-control-allow-origin"), ORIGIN);
        assert_eq!(reply.header("access-control-allow-credentials"), "true");
        assert_eq!(reply.header("vary"), "Origin");
    }
    let preflight = client
        .request(Method::OPTIONS, "/api/sale/purchase")
        .header("origin", ORIGIN)
        .header("access-control-request-method", "POST");
    let reply = DialectReply::send(preflight).await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-credentials"), "true");
    for header in ["content-type", "authorization", "idempotency-key", "x-requested-with"] {
        assert!(reply.header("access-control-allow-headers").contains(header), "{header}");
    }
    for method in ["GET", "POST", "PUT", "DELETE"] {
        assert!(reply.header("access-control-allow-methods").contains(method), "{method}");
    }
    let plain = client.request(Method::GET, "/health").header("origin", "https://shop.example");
    let reply = DialectReply::send(plain).await;
    assert_eq!(reply.header("access-control-allow-origin"), "https://shop.example");
    assert!(!reply.headers.contains_key("access-control-allow-credentials"));
    let stranger = client.request(Method::GET, "/health").header("origin", "https://evil.example");
    assert!(!DialectReply::send(stranger).await.headers.contains_key("access-control-allow-origin"));
    // The native API does not know the origins of dialects.
    let native = app.request(Method::GET, "/livez").header("origin", ORIGIN).send().await.unwrap();
    assert!(!native.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_can_read_that_its_request_was_refused_for_its_head() {
    let flags = ["--limits", "off", "--dialect-origins", ORIGIN, "--dialects"];
    for mount in ["drop=127.0.0.1:0", "drop"] {
        let app = TestApp::start_with(&[&flags[..], &[mount]].concat()).await;
        let client = DialectClient::of(&app, Dialect::Drop);
        let url = client.request(Method::GET, "/api/sale/status").build().unwrap().url().clone();
        let address = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        for (more, status) in
            [("a: b\r\n".repeat(80), "431"), ("x".repeat(20_000), "431"), ("a : b\r\n".to_owned(), "400")]
        {
            let mut stream = tokio::net::TcpStream::connect(address.clone()).await.unwrap();
            let head =
                format!("GET {} HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\n{more}\r\n\r\n", url.path());
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await.unwrap();
            let (head, body) = reply.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            for header in [
                format!("access-control-allow-origin: {ORIGIN}"),
                "access-control-allow-credentials: true".to_owned(),
                "vary: Origin".to_owned(),
            ] {
                assert!(head.contains(&header), "{mount}: {header} is not in {head}");
            }
            let body: Value = serde_json::from_str(body).unwrap();
            assert!(body["error"].is_string() && body["message"].is_string(), "{mount}: {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_a_limit_of_its_own_for_all_dialects() {
    let flags = ["--limit-dialect-address", "3/1h", "--dialects", "drop=127.0.0.1:0"];
    let app = TestApp::start_with(&flags).await;
    let client = DialectClient::of(&app, Dialect::Drop);
    let reads = async |count: usize| {
        let mut statuses = Vec::new();
        for _ in 0..count {
            statuses.push(client.get("/api/sale/status").await.status.as_u16());
        }
        statuses
    };
    assert_eq!(reads(4).await, [503, 503, 503, 429]);
    let refused = client.get("/api/sale/status").await;
    assert!(refused.expect(429)["error"].is_string());
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    // The main listener counts apart.
    assert_eq!(app.get("/api/v1/flash-sales").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_call_needs_an_admin_unless_it_is_open() {
    let app = TestApp::start_with(&OWN_LISTENER).await;
    let client = DialectClient::of(&app, Dialect::Drop);
    let refused = client.get("/api/sale/stats").await;
    assert!(refused.expect(401)["error"].is_string());
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    let buyer = app.register("ada").await;
    client.get_as(&buyer.access, "/api/sale/stats").await.expect(401);
    let admin = app.admin().await;
    client.get_as(&admin.access, "/api/sale/stats").await.expect(503);
    // Some clients write the scheme twice.
    let doubled = client
        .request(Method::GET, "/api/sale/stats")
        .header("authorization", format!("bearer Bearer {}", admin.access));
    DialectReply::send(doubled).await.expect(503);
    let open = TestApp::start_with(&[&OWN_LISTENER[..], &["--dialect-admin", "open"]].concat()).await;
    DialectClient::of(&open, Dialect::Drop).get("/api/sale/stats").await.expect(503);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_in_use_fails_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let list = format!("drop={address}");
    let flags = ["--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", "--data", data, "--dialects", &list];
    let settings = Serve::from_flags(flags).unwrap();
    let clock = |not_before, _| SystemClock::start(not_before) as _;
    let started = ServerInstance::start(settings, Arc::new(|| 0), clock).await;
    let error = started.err().expect("the address has another listener").to_string();
    assert!(error.starts_with("--dialects: ") && error.contains(&address.to_string()), "{error}");
}
