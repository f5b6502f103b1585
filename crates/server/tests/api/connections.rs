//! Connections: slow ones are cut, invalid ones do no harm, and requests in flight finish when the shop stops.

use crate::support::{PASSWORD, TestApp};
use serde_json::json;
use std::time::Duration;
use test_servers::wait::{HANG_LIMIT, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.instance.address).await.unwrap()
}

/// All that the shop still sends; fails when it does not close at all.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(HANG_LIMIT, stream.read_to_end(&mut text)).await;
    let _reset = read.expect("the shop closes the connection");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dawdles_over_its_head_is_cut() {
    let app = TestApp::start_with(&["--head-timeout", "300ms"]).await;
    let start = Instant::now();
    let mut silent = connect(&app).await;
    let mut slow = connect(&app).await;
    slow.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    let trickle = async {
        // One header every 50 ms, for ever: each byte comes in time, the head never ends.
        while slow.write_all(b"x-a: b\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(start.elapsed() < HANG_LIMIT, "a trickling connection lives on");
        }
    };
    tokio::join!(trickle, read_to_end(&mut silent));
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_may_wait_for_its_next_request_longer_than_for_a_head() {
    let app = TestApp::start_with(&["--head-timeout", "2s", "--idle-timeout", "8s"]).await;
    let mut stream = connect(&app).await;
    let mut reply = vec![0; 4096];
    for _ in 0..2 {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut reply).await.unwrap() > 0);
        assert!(reply.starts_with(b"HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(2_500)).await;
    }
    assert_eq!(read_to_end(&mut stream).await, "", "it is closed when it has been idle");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_comes_is_given_up() {
    let app = TestApp::start_with(&["--limits", "off", "--request-timeout", "500ms"]).await;
    let mut stream = connect(&app).await;
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let reply = read_to_end(&mut stream).await;
    assert!(reply.starts_with("HTTP/1.1 504") && reply.contains("\"code\":\"timeout\""), "{reply}");
}

/// The status and the problem's code of a reply that ends its connection.
fn refusal(reply: &str) -> (u16, String) {
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {reply}"));
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    for header in
        ["content-type: application/problem+json", "connection: close", "x-content-type-options: nosniff"]
    {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{reply}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["status"], status, "{body}");
    assert!(body["detail"].is_string() && body["instance"].is_string(), "{body}");
    (status, body["code"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_not_plain_http_is_refused_with_a_problem() {
    let app = TestApp::start().await;
    let many = "x-a: b\r\n".repeat(200);
    let large = format!("x-a: {}\r\n", "b".repeat(100_000));
    let post = |more: &str| format!("POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\n{more}\r\nhello");
    for (head, status, code) in [
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400, "bad_request"),
        ("\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET /livez HTTP/1.1\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET /livez HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET /livez HTTP/1.1\r\nhost: x y\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET /livez HTTP/1.1\nhost: x\n\n".to_owned(), 400, "bad_request"),
        ("GET /livez HTTP/1.1\r\nhost: x\n\r\n".to_owned(), 400, "bad_request"),
        ("GET /livez HTTP/1.1\r\nhost: x\r\n folded: y\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET {} HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 400, "bad_request"),
        (post("content-length: 5\r\ncontent-length: 6\r\n"), 400, "bad_request"),
        (post("content-length: -1\r\n"), 400, "bad_request"),
        (post("content-length: 5\r\ntransfer-encoding: chunked\r\n"), 400, "bad_request"),
        (post("transfer-encoding: chunked\r\ncontent-length: 5\r\n"), 400, "bad_request"),
        (post("transfer-encoding: gzip, chunked\r\n"), 501, "unknown_coding"),
        (post("transfer-encoding: gzip\r\n"), 501, "unknown_coding"),
        (format!("GET /livez HTTP/1.1\r\nhost: x\r\n{many}\r\n"), 431, "head_too_large"),
        (format!("GET /livez HTTP/1.1\r\nhost: x\r\n{large}\r\n"), 431, "head_too_large"),
    ] {
        let mut stream = connect(&app).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let reply = read_to_end(&mut stream).await;
        assert_eq!(refusal(&reply), (status, code.to_owned()), "{head:.60}");
    }
    assert_eq!(app.get("/livez").await.body, b"ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_a_bad_head_is_answered_first() {
    let app = TestApp::start().await;
    let good = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let body = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
                2\r\n{}\r\n0\r\n\r\n";
    let smuggled = "GET /readyz HTTP/1.1\nhost: x\n\n";
    let mut stream = connect(&app).await;
    stream.write_all([good, body, smuggled, good].concat().as_bytes()).await.unwrap();
    let reply = read_to_end(&mut stream).await;
    let statuses: Vec<&str> =
        reply.split("HTTP/1.1 ").skip(1).map(|reply| reply.split(' ').next().unwrap()).collect();
    assert_eq!(statuses, ["200", "422", "400"], "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_may_arrive_in_pieces_and_http_1_0_needs_no_host() {
    let app = TestApp::start().await;
    let mut stream = connect(&app).await;
    for byte in b"GET /livez HTTP/1.1\r\nHost: [::1]:80\r\nconnection: close\r\n\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 200"));
    let mut stream = connect(&app).await;
    stream.write_all(b"GET /livez HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.0 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_all_answered_in_order() {
    let app = TestApp::start().await;
    let mut stream = connect(&app).await;
    let request =
        |id: &str, more: &str| format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-request-id: {id}\r\n{more}\r\n");
    let requests =
        [request("one", ""), request("two", ""), request("three", "connection: close\r\n")].concat();
    stream.write_all(requests.as_bytes()).await.unwrap();
    let reply = read_to_end(&mut stream).await;
    let at = |id: &str| reply.find(&format!("x-request-id: {id}")).unwrap_or_else(|| panic!("{id}: {reply}"));
    assert!(at("one") < at("two") && at("two") < at("three"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_after_sending_still_gets_its_account() {
    let app = TestApp::start().await;
    let body = json!({"email": "ada@example.com", "username": "ada", "password": PASSWORD}).to_string();
    let mut stream = connect(&app).await;
    let head = "POST /api/v1/auth/register HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    drop(stream);
    let login = json!({"username": "ada", "password": PASSWORD});
    let is_registered = async || app.post("/api/v1/auth/login", &login).await.status == 200;
    eventually("the request is carried out though its client has gone", HANG_LIMIT, is_registered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_finish_when_the_shop_stops() {
    let app = TestApp::start().await;
    let mut idle = connect(&app).await;
    let body = json!({"email": "ada@example.com", "username": "ada", "password": PASSWORD}).to_string();
    let mut busy = connect(&app).await;
    let head = "POST /api/v1/auth/register HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let (first, rest) = body.split_at(10);
    busy.write_all(format!("{head}content-length: {}\r\n\r\n{first}", body.len()).as_bytes()).await.unwrap();
    while app.instance.app.metrics.in_flight.get() == 0 {
        tokio::task::yield_now().await;
    }
    let address = app.instance.address;
    let finish = async {
        assert_eq!(read_to_end(&mut idle).await, "", "a connection without a request is closed at once");
        busy.write_all(rest.as_bytes()).await.unwrap();
        read_to_end(&mut busy).await
    };
    let (reply, ()) = tokio::join!(finish, app.instance.stop());
    assert!(reply.starts_with("HTTP/1.1 201"), "{reply}");
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_does_not_keep_the_shop_from_stopping() {
    let app = TestApp::start_with(&["--drain-timeout", "300ms"]).await;
    let mut busy = connect(&app).await;
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    busy.write_all(head.as_bytes()).await.unwrap();
    while app.instance.app.metrics.in_flight.get() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(HANG_LIMIT, app.instance.stop()).await.unwrap();
}

async fn send(app: &TestApp, path: &str) -> String {
    let mut stream = connect(app).await;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    read_to_end(&mut stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_are_served_than_allowed() {
    let app = TestApp::start_with(&["--connections-max", "1"]).await;
    let mut first = connect(&app).await;
    first.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut reply = vec![0; 4096];
    assert!(first.read(&mut reply).await.unwrap() > 0);
    assert!(send(&app, "/livez").await.starts_with("HTTP/1.1 200"), "a probe is answered");
    let refused = send(&app, "/api/v1/flash-sales").await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"), "{refused}");
    assert_eq!(refusal(&refused).1, "overloaded");
    drop(first);
    eventually("the next is served", HANG_LIMIT, async || {
        send(&app, "/api/v1/flash-sales").await.starts_with("HTTP/1.1 200")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_half_sent_heads_starves_neither_probes_nor_others() {
    let app = TestApp::start_with(&["--connections-max", "50", "--head-timeout", "1d"]).await;
    let mut half_sent = Vec::new();
    for _ in 0..120 {
        let mut stream = connect(&app).await;
        let _evicted = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n").await;
        half_sent.push(stream);
    }
    for probe in ["/livez", "/readyz", "/health"] {
        let reply = send(&app, probe).await;
        assert!(reply.starts_with("HTTP/1.1 200"), "{probe}: {reply}");
    }
    let refused = send(&app, "/").await;
    assert_eq!(refusal(&refused).1, "overloaded");
    assert!(refused.contains("from your address"), "{refused}");
    eventually("half of the connections is left for other addresses", HANG_LIMIT, async || {
        app.instance.app.metrics.connections.get() <= 25 + 16
    })
    .await;
    app.wait_for_metrics(&[r#"doorbuster_http_connections_limited_total{reason="address"}"#]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_may_bring_the_connections_of_all() {
    let flags =
        ["--connections-max", "8", "--connections-per-address", "2", "--trusted-proxies", "127.0.0.1"];
    let app = TestApp::start_with(&flags).await;
    let mut open = Vec::new();
    for _ in 0..6 {
        open.push(connect(&app).await);
    }
    assert!(send(&app, "/api/v1/flash-sales").await.starts_with("HTTP/1.1 200"));
}
