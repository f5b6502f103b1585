//! What a busy shop refuses first: more and more kinds of requests, and orders and payments never before the limit of connections.
//! It is made busy by requests whose bodies do not come.

use crate::merchant::{Merchant, id, join_line, order, pay};
use crate::sockets::PollingSocket;
use crate::support::{HttpReply, PASSWORD, SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::json;
use test_servers::wait::{HANG_LIMIT, eventually};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Connections that the shop accepts: a tenth of them are ten.
const FLAGS: [&str; 6] =
    ["--connections-max", "100", "--connections-per-address", "100", "--request-timeout", "1h"];

/// A busy shop, and what it is asked for.
struct BusyShop<'a> {
    app: &'a TestApp,
    sale: String,
    line: String,
    /// Holds an order of the open sale that is not paid yet.
    ada: SignedInUser,
    unpaid: String,
    held: Vec<TcpStream>,
}

impl<'a> BusyShop<'a> {
    async fn start(app: &'a TestApp) -> Self {
        let merchant = Merchant::sign_in(app).await;
        let sale = merchant.sale(&json!({"limitPerBuyer": 9})).await;
        let admission = json!({"type": "fifo", "perSecond": 1, "checkoutSeconds": 60});
        let line = merchant.sale(&json!({"admission": admission})).await;
        let ada = app.register("ada").await;
        let unpaid = id(&order(app, &ada, &sale, 1).await.json());
        Self { app, sale, line, ada, unpaid, held: Vec::new() }
    }

    /// Waits until the shop works on so many tenths of what it may.
    async fn fill(&mut self, tenths: usize) {
        while self.held.len() < 10 * tenths {
            let mut stream = TcpStream::connect(self.app.instance.address).await.unwrap();
            let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
            stream.write_all(head.as_bytes()).await.unwrap();
            self.held.push(stream);
        }
        let working = || self.app.instance.app.shedder.count_working();
        eventually("all are worked on", HANG_LIMIT, async || working() == self.held.len()).await;
    }

    async fn read_as_stranger(&self) -> HttpReply {
        self.app.get(&format!("/api/v1/flash-sales/{}", self.sale)).await
    }

    async fn open_socket(&self) -> HttpReply {
        self.app.get("/socket.io/?EIO=4&transport=polling").await
    }

    async fn register(&self, username: &str) -> HttpReply {
        let email = format!("{username}@example.com");
        let body = json!({"email": email, "username": username, "password": PASSWORD});
        self.app.post("/api/v1/auth/register", &body).await
    }
}

fn assert_shed(reply: &HttpReply) {
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "overloaded"));
    assert_eq!(reply.header("retry-after"), "1");
}

fn assert_done(reply: &HttpReply) {
    assert!(reply.status.is_success(), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_shop_refuses_strangers_then_sockets_then_accounts_then_joins() {
    let app = TestApp::start_with(&FLAGS).await;
    let mut shop = BusyShop::start(&app).await;
    let socket = PollingSocket::connect(&app, "127.0.0.1", Some(&shop.ada)).await;

    shop.fill(5).await;
    assert_done(&shop.read_as_stranger().await);

    shop.fill(6).await;
    assert_shed(&shop.read_as_stranger().await);
    let path = format!("/api/v1/flash-sales/{}", shop.sale);
    assert_shed(&app.get_as("a-token-of-nobody", &path).await);
    assert_done(&shop.open_socket().await);
    assert_done(&app.get_as(&shop.ada.access, &path).await);

    shop.fill(7).await;
    assert_shed(&shop.open_socket().await);
    assert_done(&shop.register("bob").await);

    shop.fill(8).await;
    assert_shed(&shop.register("eve").await);
    assert_shed(&app.post("/api/v1/auth/guest", &json!({})).await);
    assert_done(&join_line(&app, &shop.ada, &shop.line).await);

    shop.fill(9).await;
    assert_shed(&join_line(&app, &shop.ada, &shop.line).await);
    assert_eq!(socket.emit("queue:join", &shop.line).await["code"], "overloaded");
    assert_done(&order(&app, &shop.ada, &shop.sale, 1).await);
    assert_done(&pay(&app, &shop.ada, &shop.unpaid, "approve").await);
    for always in ["/livez", "/readyz"] {
        assert_done(&app.get(always).await);
    }
    let feed = format!("/api/v1/flash-sales/{}/line-feed", shop.line);
    assert_done(&app.get(&feed).await);

    app.wait_for_metrics(&[
        r#"doorbuster_requests_shed_total{class="stranger_read"} 2"#,
        r#"doorbuster_requests_shed_total{class="new_socket"} 1"#,
        r#"doorbuster_requests_shed_total{class="new_account"} 2"#,
        r#"doorbuster_requests_shed_total{class="join"} 2"#,
    ])
    .await;
    shop.held.clear();
    eventually("strangers are answered again", HANG_LIMIT, async || {
        shop.read_as_stranger().await.status == StatusCode::OK
    })
    .await;
    assert_done(&shop.register("eve").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_counts_for_no_limit() {
    let app = TestApp::start_with(&FLAGS).await;
    let mut shop = BusyShop::start(&app).await;
    shop.fill(6).await;
    let path = format!("/api/v1/flash-sales/{}", shop.sale);
    let refused = HttpReply::send(app.request(Method::GET, &path)).await;
    assert_shed(&refused);
    assert!(!refused.headers.contains_key("ratelimit"), "{refused:?}");
}
