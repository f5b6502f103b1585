//! The edge of live updates: whose limits a request of a socket counts against, and who may use its session.

use crate::merchant::{Merchant, join_line};
use crate::support::{HttpReply, SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use test_servers::wait::{HANG_LIMIT, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const HOME: &str = "2001:db8:0:1::1";

/// A Socket.IO client by long polling, written by hand, behind a proxy that reports its address.
pub struct PollingSocket<'a> {
    app: &'a TestApp,
    address: &'static str,
    /// The Engine.IO id of its session.
    session: String,
    /// The public `socket.id`.
    public_id: String,
}

impl<'a> PollingSocket<'a> {
    /// Connects with the token of a buyer, or as a watcher.
    pub async fn connect(app: &'a TestApp, address: &'static str, buyer: Option<&SignedInUser>) -> Self {
        let opened =
            HttpReply::send(app.request(Method::GET, POLLING).header("x-forwarded-for", address)).await;
        assert_eq!(opened.status, StatusCode::OK, "{opened:?}");
        let packet: Value = serde_json::from_slice(opened.body.strip_prefix(b"0").unwrap()).unwrap();
        let session = packet["sid"].as_str().unwrap().to_owned();
        let mut socket = Self { app, address, session, public_id: String::new() };
        let auth = buyer.map_or(json!({}), |buyer| json!({"token": buyer.access}));
        socket.send(&format!("40{auth}")).await;
        let connected = loop {
            let messages = socket.poll_messages().await;
            if let Some(connected) = messages.iter().find_map(|message| message.strip_prefix("40")) {
                break connected.to_owned();
            }
        };
        let connected: Value = serde_json::from_str(&connected).unwrap();
        connected["sid"].as_str().unwrap().clone_into(&mut socket.public_id);
        socket
    }

    /// A request that acts on a session, from an address.
    async fn request_as(&self, method: Method, session: &str, address: &str, body: &str) -> HttpReply {
        let path = format!("{POLLING}&sid={session}");
        let request = self.app.request(method, &path).header("x-forwarded-for", address);
        HttpReply::send(request.body(body.to_owned())).await
    }

    async fn send(&self, message: &str) {
        let reply = self.request_as(Method::POST, &self.session, self.address, message).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    }

    async fn poll_messages(&self) -> Vec<String> {
        let reply = self.request_as(Method::GET, &self.session, self.address, "").await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        String::from_utf8(reply.body).unwrap().split('\u{1e}').map(str::to_owned).collect()
    }

    /// Sends an event, and waits for its acknowledgement.
    pub async fn emit(&self, event: &str, sale: &str) -> Value {
        self.emit_payload(event, &json!({"flashSaleId": sale})).await
    }

    /// [`Self::emit`] with any payload.
    async fn emit_payload(&self, event: &str, payload: &Value) -> Value {
        self.send(&format!("421{}", json!([event, payload]))).await;
        loop {
            for message in self.poll_messages().await {
                if message == "2" {
                    self.send("3").await;
                }
                if let Some(answer) = message.strip_prefix("431") {
                    return serde_json::from_str::<Value>(answer).unwrap()[0].clone();
                }
            }
        }
    }
}

async fn start_behind_proxy(more: &[&str]) -> TestApp {
    TestApp::start_with(&[&["--trusted-proxies", "127.0.0.1"], more].concat()).await
}

async fn sale_with_line(app: &TestApp) -> String {
    let fifo = json!({"admission": {"type": "fifo", "perSecond": 1, "checkoutSeconds": 600}});
    Merchant::sign_in(app).await.sale(&fifo).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_id_is_secret_and_valid_only_in_its_network() {
    let app = start_behind_proxy(&[]).await;
    let ada = app.register("ada").await;
    let socket = PollingSocket::connect(&app, HOME, Some(&ada)).await;
    assert_ne!(socket.session, socket.public_id);
    let leave = r#"421["queue:leave",{"flashSaleId":"00000000-0000-0000-0000-000000000000"}]"#;
    let foreign_network = "2001:db8:0:2::1";
    for (session, address) in
        [(&socket.public_id, HOME), (&socket.session, foreign_network), (&socket.session, "203.0.113.7")]
    {
        for (method, body) in [(Method::POST, leave), (Method::GET, "")] {
            let reply = socket.request_as(method, session, address, body).await;
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{address}: {reply:?}");
            assert_eq!(reply.json()["message"], "Session ID unknown", "as for an id that never was");
        }
    }
    // Another address of the same customer, as phones change it; and the session still works.
    let reply = socket.request_as(Method::POST, &socket.session, "2001:db8:0:1:ffff::2", "3").await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let sale = sale_with_line(&app).await;
    assert_eq!(socket.emit("queue:join", &sale).await["ticket"], 1);
    // It ends with the session.
    socket.send("1").await;
    eventually("the id is forgotten", HANG_LIMIT, async || {
        let reply = socket.request_as(Method::GET, &socket.session, HOME, "").await;
        reply.status == StatusCode::BAD_REQUEST && reply.json()["message"] == "Session ID unknown"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_does_not_reveal_its_session_either() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(app.instance.address).await.unwrap();
    let head = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // A masked text frame with the key zero.
    stream.write_all(b"\x81\x82\0\0\0\x0040").await.unwrap();
    let mut read = Vec::new();
    let id_after = |text: &str, prefix: &str| {
        let at = text.find(prefix)? + prefix.len();
        Some(text.get(at..at + 16)?.to_owned())
    };
    let (session, public_id) = loop {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "{}", String::from_utf8_lossy(&read));
        let text = String::from_utf8_lossy(&read);
        if let (Some(session), Some(public_id)) =
            (id_after(&text, "0{\"sid\":\""), id_after(&text, "40{\"sid\":\""))
        {
            assert!(text.starts_with("HTTP/1.1 101"), "{text}");
            assert!(text.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{text}");
            break (session, public_id);
        }
    };
    assert_ne!(session, public_id);
    for id in [session, public_id] {
        let reply = app.get(&format!("{POLLING}&sid={id}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_socket_counts_like_one_over_http() {
    let app = TestApp::start_with(&["--limit-buy", "4/1d"]).await;
    let sale = sale_with_line(&app).await;
    let (ada, bob) = (app.register("ada").await, app.register("bob").await);
    let socket = PollingSocket::connect(&app, "127.0.0.1", Some(&ada)).await;
    for event in ["queue:join", "queue:leave", "queue:join"] {
        assert!(socket.emit(event, &sale).await["ticket"].is_number());
    }
    assert_eq!(join_line(&app, &ada, &sale).await.status, StatusCode::OK);
    let refused = socket.emit("queue:leave", &sale).await;
    assert_eq!((&refused["code"], &refused["status"]), (&json!("rate_limited"), &json!(429)), "{refused}");
    assert!(refused["retryAfterSeconds"].as_u64().unwrap() > 3_600, "{refused}");
    assert_eq!(join_line(&app, &ada, &sale).await.problem(), "rate_limited", "the bucket is the same");
    assert!(socket.emit("inventory:watch", &sale).await["available"].is_number(), "reading goes on");
    let other = PollingSocket::connect(&app, "127.0.0.1", Some(&bob)).await;
    assert!(other.emit("queue:join", &sale).await["ticket"].is_number(), "another buyer has another bucket");
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_count_as_reads_of_the_buyer_or_of_the_network() {
    let app = start_behind_proxy(&["--limit-read", "6/1d"]).await;
    let ada = app.register("ada").await;
    // Opening and connecting are requests from an address; then the session knows its buyer.
    let socket = PollingSocket::connect(&app, HOME, Some(&ada)).await;
    let mut sent = 0;
    let reply = loop {
        let reply = socket.request_as(Method::POST, &socket.session, HOME, "3").await;
        if reply.status != StatusCode::OK {
            break reply;
        }
        sent += 1;
        assert!(sent < 7, "the limit is six");
    };
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    assert_eq!(
        app.get_as(&ada.access, "/api/v1/auth/me").await.problem(),
        "rate_limited",
        "the buyer's own bucket"
    );
    // Ids that nobody has count against the network that guesses them.
    let guess = async || socket.request_as(Method::GET, "AAAAAAAAAAAAAAAA", "203.0.113.9", "").await;
    for _ in 0..6 {
        assert_eq!(guess().await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(guess().await.problem(), "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_be_the_id_of_the_sale_alone() {
    let app = start_behind_proxy(&[]).await;
    let ada = app.register("ada").await;
    let sale = sale_with_line(&app).await;
    let socket = PollingSocket::connect(&app, HOME, Some(&ada)).await;
    assert_eq!(socket.emit_payload("inventory:watch", &json!(sale)).await["flashSaleId"], sale);
    assert_eq!(socket.emit_payload("queue:join", &json!(sale)).await["ticket"], 1);
    assert_eq!(socket.emit_payload("queue:leave", &json!(sale)).await["status"], "left");
    for wrong in [json!("somewhere"), json!(7), json!([sale]), json!({"flashSaleId": 7}), Value::Null] {
        assert_eq!(socket.emit_payload("queue:join", &wrong).await["code"], "bad_request", "{wrong}");
    }
    let unknown = json!("00000000-0000-0000-0000-000000000000");
    assert_eq!(socket.emit_payload("queue:join", &unknown).await["code"], "sale_unknown");
}
