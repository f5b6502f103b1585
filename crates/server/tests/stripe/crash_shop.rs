//! A shop whose orders are paid through the stand-in: one server, or two that share a PostgreSQL and a Redis, and the stand-in, each a process
//! that a test kills. Each server has its own clock, which the test turns. At the end the shop compares the money that Stripe keeps with the
//! orders; single payments are checked by the tests.

use crate::process::StandInProcess;
use crate::real::instance::{ServerProcess, text};
use serde_json::{Value, json};
use server::auth::tokens;
use std::process::Command;
use tempfile::TempDir;
use test_servers::cluster::ClusterServers;
use test_servers::postgres::PostgresServer;
use test_servers::redis::RedisServer;
use test_servers::stripe::{TEST_KEY, TEST_WEBHOOK_SECRET};
use test_servers::wait::{HANG_LIMIT, eventually, eventually_some};

pub const PUBLIC_URL: &str = "https://shop.example";

pub const PRICE: i64 = 1_999;
pub const PART: i64 = 500;

/// Units of each sale.
pub const UNITS: i64 = 100;

/// Long enough for any step; what is to end before is given up by its buyer.
const HOLD_S: u32 = 600;

/// A call to Stripe that moves a payment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentCall {
    OpenPage,
    ReadPage,
    Capture,
    /// Of a page whose order was given up.
    ClosePage,
    /// Of money that was authorised after its order was given up.
    ReleaseMoney,
    RefundPart,
    RefundAll,
}

impl PaymentCall {
    pub const ALL: [Self; 7] = [
        Self::OpenPage,
        Self::ReadPage,
        Self::Capture,
        Self::ClosePage,
        Self::ReleaseMoney,
        Self::RefundPart,
        Self::RefundAll,
    ];

    /// A part of its method and path that no earlier call of the payment has.
    pub const fn path(self) -> &'static str {
        match self {
            Self::OpenPage => "POST /v1/checkout/sessions",
            Self::ReadPage => "GET /v1/checkout/sessions/",
            Self::Capture => "/capture",
            Self::ClosePage => "/expire",
            Self::ReleaseMoney => "/cancel",
            Self::RefundPart | Self::RefundAll => "POST /v1/refunds",
        }
    }

    /// What Stripe keeps of the order's money at the end.
    pub const fn money_kept(self) -> i64 {
        match self {
            Self::OpenPage | Self::ReadPage | Self::Capture => PRICE,
            Self::RefundPart => PRICE - PART,
            Self::ClosePage | Self::ReleaseMoney | Self::RefundAll => 0,
        }
    }

    pub const fn order_status(self) -> &'static str {
        match self {
            Self::OpenPage | Self::ReadPage | Self::Capture | Self::RefundPart => "confirmed",
            Self::ClosePage | Self::ReleaseMoney => "cancelled",
            Self::RefundAll => "refunded",
        }
    }

    pub const fn payment_status(self) -> &'static str {
        match self {
            Self::OpenPage | Self::ReadPage | Self::Capture | Self::RefundPart => "captured",
            Self::ClosePage | Self::ReleaseMoney => "voided",
            Self::RefundAll => "refunded",
        }
    }
}

/// An order and who has it.
#[derive(Clone, Debug)]
pub struct BuyerOrder {
    pub id: String,
    pub token: String,
}

/// Its servers end before what they share: fields go in this order.
pub struct CrashShop {
    pub servers: Vec<ServerProcess>,
    pub stand_in: StandInProcess,
    /// The server to which the buyers and the admin go.
    pub target: usize,
    pub sale: String,
    orders: Vec<BuyerOrder>,
    shared: Option<ClusterServers>,
    folder: TempDir,
}

impl CrashShop {
    /// One server on a data folder.
    pub async fn start() -> Self {
        Self::start_by_clock(0).await
    }

    /// The same on a machine whose clock is wrong by so many milliseconds.
    pub async fn start_by_clock(wrong_by_ms: i64) -> Self {
        Self::start_with(None, wrong_by_ms).await
    }

    /// Two servers that share a PostgreSQL and a Redis.
    pub async fn start_pair() -> Self {
        let shared = ClusterServers::new(PostgresServer::start(), Some(RedisServer::start()));
        Self::start_with(Some(shared), 0).await
    }

    async fn start_with(shared: Option<ClusterServers>, wrong_by_ms: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stand_in = StandInProcess::start(folder.path()).await;
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (key, secret) = (file("key", TEST_KEY), file("secret", TEST_WEBHOOK_SECRET));
        let flags = [
            ["--limits", "off"],
            ["--public-url", PUBLIC_URL],
            ["--payments", "stripe"],
            ["--stripe-api", &stand_in.url],
            ["--stripe-key-file", &key],
            ["--stripe-webhook-secret-file", &secret],
        ];
        let shared_flags = shared.as_ref().map_or_else(Vec::new, |shared| {
            tokens::read_or_create_key(&shared.token_key()).unwrap();
            shared.flags(&shared.postgres.create_database(), Some(shared.redis().url().as_str()))
        });
        let mut servers = Vec::new();
        let count = if shared.is_some() { 2 } else { 1 };
        for no in 0..count {
            let clock = file(&clock_name(no), &wrong_by_ms.to_string());
            let shared_flags = shared_flags.iter().map(String::as_str);
            let all: Vec<&str> = flags
                .as_flattened()
                .iter()
                .copied()
                .chain(shared_flags)
                .chain(["--rehearsal-clock", clock.as_str()])
                .collect();
            servers.push(ServerProcess::prepared(&all));
        }
        // The first makes the tables and the admin.
        let (first, others) = servers.split_first_mut().unwrap();
        first.launch().await;
        first.open_shop().await;
        for server in others {
            server.launch().await;
            (server.admin, server.product) = (first.admin.clone(), first.product.clone());
        }
        let (sale, orders) = (String::new(), Vec::new());
        let mut shop = Self { servers, stand_in, target: 0, sale, orders, shared, folder };
        shop.sale = shop.create_sale(HOLD_S).await;
        shop.send_webhooks_to(&[0]).await;
        shop
    }

    /// The server to which the buyers and the admin go.
    pub fn server(&self) -> &ServerProcess {
        &self.servers[self.target]
    }

    /// A running sale that every server knows.
    pub async fn create_sale(&self, hold_s: u32) -> String {
        let units = u32::try_from(UNITS).unwrap();
        let sale = self.server().sale(units, hold_s, &json!({"type": "open"})).await;
        for server in &self.servers {
            let url = format!("{}/api/v1/flash-sales/{sale}", server.url);
            eventually(&format!("{url} is known"), HANG_LIMIT, async || {
                server.client.get(&url).send().await.is_ok_and(|reply| reply.status().is_success())
            })
            .await;
        }
        sale
    }

    pub async fn count_available(&self, sale: &str) -> i64 {
        let sale = self.server().get(&format!("/api/v1/flash-sales/{sale}"), None).await;
        sale["available"].as_i64().unwrap()
    }

    /// Has Stripe send its webhooks to these servers from now on, to all at once.
    pub async fn send_webhooks_to(&self, servers: &[usize]) {
        let urls: Vec<String> =
            servers.iter().map(|no| format!("{}/webhooks/stripe", self.servers[*no].url)).collect();
        let urls = urls.join(",");
        self.stand_in.command("webhooks", &[("url", &urls)]).await;
    }

    /// Stripe's webhooks with this outcome that a server has received since its start.
    pub async fn count_webhooks(&self, no: usize, outcome: &str) -> u64 {
        let server = &self.servers[no];
        let metrics = server.client.get(server.metrics_url()).send().await.unwrap().text().await.unwrap();
        let name = format!("stripe_notices_total{{outcome=\"{outcome}\"}} ");
        let count = metrics.lines().find_map(|line| Some(line.split_once(&name)?.1));
        count.map_or(0, |count| count.parse().unwrap())
    }

    /// From now on the clock of a server's machine is wrong by so many milliseconds.
    pub fn set_clock(&self, no: usize, wrong_by_ms: i64) {
        std::fs::write(self.folder.path().join(clock_name(no)), wrong_by_ms.to_string()).unwrap();
    }

    /// The same while the server runs, whose clock has not jumped before, once it has noticed.
    pub async fn jump_clock(&self, no: usize, wrong_by_ms: i64) {
        self.set_clock(no, wrong_by_ms);
        eventually("the server notices that its clock has jumped", HANG_LIMIT, async || {
            self.servers[no].log().contains("the machine's clock has jumped")
        })
        .await;
    }

    pub async fn hold(&mut self) -> BuyerOrder {
        let sale = self.sale.clone();
        self.hold_in(&sale).await
    }

    /// An order of a new buyer.
    pub async fn hold_in(&mut self, sale: &str) -> BuyerOrder {
        let name = format!("buyer-{}", self.orders.len() + 1);
        let account =
            json!({"email": format!("{name}@example.com"), "username": name, "password": "of this buyer"});
        let token = text(&self.server().post("/api/v1/auth/register", &account, None).await, "accessToken");
        let body = json!({"flashSaleId": sale, "quantity": 1});
        let order = self.server().post("/api/v1/orders", &body, Some(&token)).await;
        let order = BuyerOrder { id: text(&order, "id"), token };
        self.orders.push(order.clone());
        order
    }

    /// Begins to pay, or goes on once nothing else works on the payment; its session.
    pub async fn open_page(&self, order: &BuyerOrder) -> String {
        self.open_page_at(self.target, order).await
    }

    /// The same at one of the servers.
    pub async fn open_page_at(&self, no: usize, order: &BuyerOrder) -> String {
        let path = format!("/api/v1/orders/{}/pay", order.id);
        let method = json!({"method": "stripe"});
        let paying = self.servers[no].post(&path, &method, Some(&order.token)).await;
        let payment = paying["payment"]["id"].as_str().unwrap_or_else(|| panic!("no payment: {paying}"));
        text(&self.stand_in.command("session", &[("payment", payment)]).await, "id")
    }

    pub async fn approve(&self, session: &str) {
        self.act_as_buyer(session, "approve").await;
    }

    pub async fn act_as_buyer(&self, session: &str, choice: &str) {
        self.stand_in.command("buyer", &[("session", session), ("choice", choice)]).await;
    }

    /// The bank's answer to a payment that its buyer has submitted.
    pub async fn accept_as_bank(&self, session: &str) {
        self.stand_in.command("bank", &[("session", session), ("answer", "accept")]).await;
    }

    /// What Stripe has with this id.
    pub async fn read_object(&self, id: &str) -> Value {
        self.stand_in.command("object", &[("id", id)]).await
    }

    /// The status at Stripe of the intent of a page that was submitted.
    pub async fn intent_status(&self, session: &str) -> String {
        let intent = text(&self.read_object(session).await, "payment_intent");
        text(&self.read_object(&intent).await, "status")
    }

    pub async fn give_up(&self, order: &BuyerOrder) {
        self.server().delete(&format!("/api/v1/orders/{}", order.id), &order.token).await;
    }

    /// Asks a server for the refund of a part, or of all that is left and the unit.
    pub async fn refund_at(&self, no: usize, order: &BuyerOrder, call: PaymentCall) {
        let server = &self.servers[no];
        server.post(&refund_path(order), &refund_body(call), Some(&server.admin)).await;
    }

    /// Posts, and does not wait for a reply: the server may die meanwhile.
    fn post_unanswered(&self, path: &str, body: &Value, token: &str) {
        let server = self.server();
        let request = server.client.post(format!("{}{path}", server.url)).json(body).bearer_auth(token);
        tokio::spawn(request.header("Idempotency-Key", uuid::Uuid::new_v4().to_string()).send());
    }

    pub async fn read_order(&self, order: &BuyerOrder) -> Value {
        self.server().get(&format!("/api/v1/orders/{}", order.id), Some(&order.token)).await
    }

    /// The first payment of an order, as the admin sees it.
    pub async fn payment(&self, order: &BuyerOrder) -> Value {
        let path = format!("/api/v1/admin/orders/{}/payments", order.id);
        self.server().get(&path, Some(&self.server().admin)).await["items"][0].clone()
    }

    pub async fn wait_for_payment(&self, order: &BuyerOrder, status: &str) {
        let what = format!("the payment of {} is {status}", order.id);
        eventually(&what, HANG_LIMIT, async || self.payment(order).await["status"] == status).await;
    }

    /// Waits until a payment has ended so, and wants its order to have ended with it.
    pub async fn wait_for_end(&self, order: &BuyerOrder, order_status: &str, payment_status: &str) {
        self.wait_for_payment(order, payment_status).await;
        let read = self.read_order(order).await;
        assert_eq!(read["status"], order_status, "the payment is {payment_status}: {read}");
    }

    /// Brings an order's payment to the call, which hangs.
    pub async fn reach(&self, order: &BuyerOrder, call: PaymentCall, fault: &str) {
        let session = self.prepare_call(order, call).await;
        self.begin_call(order, &session, call, fault).await;
    }

    /// Brings an order's payment so far that [`Self::begin_call`] leads to the call; its session, if it has one.
    pub async fn prepare_call(&self, order: &BuyerOrder, call: PaymentCall) -> String {
        if call == PaymentCall::OpenPage {
            return String::new();
        }
        let session = self.open_page(order).await;
        if matches!(call, PaymentCall::RefundPart | PaymentCall::RefundAll) {
            self.approve(&session).await;
            self.wait_for_payment(order, "captured").await;
        }
        session
    }

    /// Has the server make the call, which hangs.
    pub async fn begin_call(&self, order: &BuyerOrder, session: &str, call: PaymentCall, fault: &str) {
        let hang = async |path: &str| {
            self.stand_in.command("fail", &[("path", path), ("count", "1000000"), ("kind", fault)]).await;
        };
        match call {
            PaymentCall::OpenPage => {
                hang(call.path()).await;
                let path = format!("/api/v1/orders/{}/pay", order.id);
                self.post_unanswered(&path, &json!({"method": "stripe"}), &order.token);
            }
            PaymentCall::ReadPage | PaymentCall::Capture => {
                hang(call.path()).await;
                self.approve(session).await;
            }
            PaymentCall::ClosePage => {
                hang(call.path()).await;
                self.give_up(order).await;
            }
            PaymentCall::ReleaseMoney => {
                // The page cannot be closed before its buyer has submitted it.
                hang("/v1/checkout/sessions/").await;
                self.give_up(order).await;
                self.approve(session).await;
                self.stand_in.command("heal", &[]).await;
                hang(call.path()).await;
            }
            PaymentCall::RefundPart | PaymentCall::RefundAll => {
                hang(call.path()).await;
                self.post_unanswered(&refund_path(order), &refund_body(call), &self.server().admin);
            }
        }
    }

    pub async fn count_calls(&self, call: PaymentCall) -> u64 {
        self.stand_in.command("calls", &[("path", call.path())]).await["count"].as_u64().unwrap()
    }

    /// Waits until there were so many of these calls.
    pub async fn wait_for_calls(&self, call: PaymentCall, count: u64) {
        eventually(&format!("{call:?} is called"), HANG_LIMIT, async || {
            self.count_calls(call).await >= count
        })
        .await;
    }

    pub async fn money_kept(&self) -> i64 {
        self.stand_in.command("money", &[("currency", "eur")]).await["kept"].as_i64().unwrap()
    }

    /// The refund of a part is finished beside its payment.
    pub async fn wait_for_money(&self, kept: i64) {
        eventually(&format!("Stripe keeps {kept}"), HANG_LIMIT, async || self.money_kept().await == kept)
            .await;
    }

    /// Compares at the end: Stripe keeps the money of the confirmed orders, less what was refunded; the ledger keeps each promise; and
    /// `doorbuster reconcile` finds no difference.
    pub async fn assert_money_agrees(&self) {
        let mut expected = 0;
        for order in &self.orders {
            if self.read_order(order).await["status"] == "confirmed" {
                let payment = self.payment(order).await;
                expected += PRICE - payment["refunded"]["amount"].as_i64().unwrap();
            }
        }
        assert_eq!(self.money_kept().await, expected, "the money of the confirmed orders, less refunds");
        self.server().verify().await;
        self.assert_reconciled().await;
    }

    /// `doorbuster reconcile` beside the server, until all refunds are in the tables.
    async fn assert_reconciled(&self) {
        let (url, key) = (self.stand_in.url.clone(), self.folder.path().join("key"));
        let server = self.server();
        let books = match &self.shared {
            Some(_) => ["--database".to_owned(), server.database_url()],
            None => ["--data".to_owned(), server.data().display().to_string()],
        };
        let printed = eventually_some("nothing differs", HANG_LIMIT, async || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
            command
                .args(["reconcile", "--payments", "stripe", "--from", "2020-01-01T00:00:00Z"])
                .args(["--to", "2099-01-01T00:00:00Z", "--stripe-api", &url, "--stripe-key-file"])
                .arg(&key)
                .args(&books);
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
        })
        .await;
        assert!(printed.contains(" 0 differences"), "{printed}");
    }
}

/// The file with the error of a server's clock.
fn clock_name(no: usize) -> String {
    format!("clock-{no}")
}

fn refund_path(order: &BuyerOrder) -> String {
    format!("/api/v1/admin/orders/{}/refund", order.id)
}

fn refund_body(call: PaymentCall) -> Value {
    if call == PaymentCall::RefundPart {
        json!({"amount": {"amount": PART, "currency": "EUR"}, "restock": false})
    } else {
        json!({"restock": true})
    }
}
