//! A real server and the stand-in, each a process: one of them is killed in each call that moves a payment on, before the call is done
//! and after it. Afterwards the money that Stripe keeps is that of the confirmed orders, less what was refunded.

use crate::process::StandInProcess;
use crate::real::instance::{ServerProcess, text};
use serde_json::{Value, json};
use std::process::Command;
use tempfile::TempDir;
use test_servers::stripe::{TEST_KEY, TEST_WEBHOOK_SECRET};
use test_servers::wait::{HANG_LIMIT, eventually, eventually_some};

const PRICE: i64 = 1_999;
const PART: i64 = 500;

/// Long enough for any step; what is to end before is given up by its buyer.
const HOLD_S: u32 = 600;

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VictimProcess {
    Server,
    StandIn,
}

/// The call in which it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PaymentCall {
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
    const ALL: [Self; 7] = [
        Self::OpenPage,
        Self::ReadPage,
        Self::Capture,
        Self::ClosePage,
        Self::ReleaseMoney,
        Self::RefundPart,
        Self::RefundAll,
    ];

    /// A part of its method and path that no earlier call of the payment has.
    const fn path(self) -> &'static str {
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
    const fn money_kept(self) -> i64 {
        match self {
            Self::OpenPage | Self::ReadPage | Self::Capture => PRICE,
            Self::RefundPart => PRICE - PART,
            Self::ClosePage | Self::ReleaseMoney | Self::RefundAll => 0,
        }
    }

    const fn order_status(self) -> &'static str {
        match self {
            Self::OpenPage | Self::ReadPage | Self::Capture | Self::RefundPart => "confirmed",
            Self::ClosePage | Self::ReleaseMoney => "cancelled",
            Self::RefundAll => "refunded",
        }
    }

    const fn payment_status(self) -> &'static str {
        match self {
            Self::OpenPage | Self::ReadPage | Self::Capture | Self::RefundPart => "captured",
            Self::ClosePage | Self::ReleaseMoney => "voided",
            Self::RefundAll => "refunded",
        }
    }
}

struct CrashShop {
    server: ServerProcess,
    stand_in: StandInProcess,
    sale: String,
    folder: TempDir,
    buyers: usize,
}

/// An order and who has it.
struct BuyerOrder {
    id: String,
    token: String,
}

impl CrashShop {
    async fn start() -> Self {
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
            ["--public-url", "https://shop.example"],
            ["--payments", "stripe"],
            ["--stripe-api", &stand_in.url],
            ["--stripe-key-file", &key],
            ["--stripe-webhook-secret-file", &secret],
        ];
        let server = ServerProcess::with(flags.as_flattened()).await;
        let sale = server.sale(100, HOLD_S, &json!({"type": "open"})).await;
        let shop = Self { server, stand_in, sale, folder, buyers: 0 };
        shop.send_webhooks().await;
        shop
    }

    async fn send_webhooks(&self) {
        let url = format!("{}/webhooks/stripe", self.server.url);
        self.stand_in.command("webhooks", &[("url", &url)]).await;
    }

    async fn hold(&mut self) -> BuyerOrder {
        self.buyers += 1;
        let name = format!("buyer-{}", self.buyers);
        let account =
            json!({"email": format!("{name}@example.com"), "username": name, "password": "of this buyer"});
        let token = text(&self.server.post("/api/v1/auth/register", &account, None).await, "accessToken");
        let body = json!({"flashSaleId": self.sale, "quantity": 1});
        let order = self.server.post("/api/v1/orders", &body, Some(&token)).await;
        BuyerOrder { id: text(&order, "id"), token }
    }

    /// Begins to pay, or goes on once nothing else works on the payment; its session.
    async fn open_page(&self, order: &BuyerOrder) -> String {
        let url = format!("{}/api/v1/orders/{}/pay", self.server.url, order.id);
        let paying = eventually_some("a page opens", HANG_LIMIT, async || {
            let request = self.server.client.post(&url).bearer_auth(&order.token);
            let reply = request.json(&json!({"method": "stripe"})).send().await.unwrap();
            let status = reply.status();
            let body: Value = reply.json().await.unwrap();
            let is_early = status == 503 || body["code"] == "request_in_flight";
            assert!(is_early || status == 200, "{status} {body}");
            (!is_early).then_some(body)
        })
        .await;
        let payment = paying["payment"]["id"].as_str().unwrap_or_else(|| panic!("no payment: {paying}"));
        text(&self.stand_in.command("session", &[("payment", payment)]).await, "id")
    }

    async fn approve(&self, session: &str) {
        self.stand_in.command("buyer", &[("session", session), ("choice", "approve")]).await;
    }

    async fn give_up(&self, order: &BuyerOrder) {
        let url = format!("{}/api/v1/orders/{}", self.server.url, order.id);
        self.send_until_answered(&format!("DELETE {url}"), || {
            self.server.client.delete(&url).bearer_auth(&order.token)
        })
        .await;
    }

    async fn read(&self, path: &str, token: &str) -> Value {
        let url = format!("{}{path}", self.server.url);
        let request = || self.server.client.get(&url).bearer_auth(token);
        serde_json::from_str(&self.send_until_answered(&format!("GET {url}"), request).await).unwrap()
    }

    /// The body of the first reply that is no 503: a busy machine may not answer in time.
    async fn send_until_answered(&self, what: &str, request: impl Fn() -> reqwest::RequestBuilder) -> String {
        let (status, body) = eventually_some(what, HANG_LIMIT, async || {
            let reply = request().send().await.unwrap();
            let status = reply.status();
            let body = reply.text().await.unwrap();
            (status != 503).then_some((status, body))
        })
        .await;
        assert!(status.is_success(), "{what}: {status} {body}");
        body
    }

    /// Posts, and does not wait for a reply: the server may die meanwhile.
    fn post_unanswered(&self, path: &str, body: &Value, token: &str) {
        let request =
            self.server.client.post(format!("{}{path}", self.server.url)).json(body).bearer_auth(token);
        tokio::spawn(request.header("Idempotency-Key", uuid::Uuid::new_v4().to_string()).send());
    }

    async fn payment(&self, order: &BuyerOrder) -> Value {
        let path = format!("/api/v1/admin/orders/{}/payments", order.id);
        self.read(&path, &self.server.admin).await["items"][0].clone()
    }

    async fn wait_for_payment(&self, order: &BuyerOrder, status: &str) {
        let what = format!("the payment of {} is {status}", order.id);
        eventually(&what, HANG_LIMIT, async || self.payment(order).await["status"] == status).await;
    }

    /// Brings an order's payment to the call, which hangs.
    async fn reach(&self, order: &BuyerOrder, call: PaymentCall, fault: &str) {
        let hang = async |path: &str| {
            self.stand_in.command("fail", &[("path", path), ("count", "1000000"), ("kind", fault)]).await;
        };
        if call == PaymentCall::OpenPage {
            hang(call.path()).await;
            let path = format!("/api/v1/orders/{}/pay", order.id);
            self.post_unanswered(&path, &json!({"method": "stripe"}), &order.token);
            return;
        }
        let session = self.open_page(order).await;
        match call {
            PaymentCall::OpenPage => {}
            PaymentCall::ReadPage | PaymentCall::Capture => {
                hang(call.path()).await;
                self.approve(&session).await;
            }
            PaymentCall::ClosePage => {
                hang(call.path()).await;
                self.give_up(order).await;
            }
            PaymentCall::ReleaseMoney => {
                // The page cannot be closed before its buyer has submitted it.
                hang("/v1/checkout/sessions/").await;
                self.give_up(order).await;
                self.approve(&session).await;
                self.stand_in.command("heal", &[]).await;
                hang(call.path()).await;
            }
            PaymentCall::RefundPart | PaymentCall::RefundAll => {
                self.approve(&session).await;
                self.wait_for_payment(order, "captured").await;
                hang(call.path()).await;
                let part = json!({"amount": {"amount": PART, "currency": "EUR"}, "restock": false});
                let body = if call == PaymentCall::RefundPart { part } else { json!({"restock": true}) };
                let path = format!("/api/v1/admin/orders/{}/refund", order.id);
                self.post_unanswered(&path, &body, &self.server.admin);
            }
        }
    }

    async fn count_calls(&self, path: &str) -> u64 {
        self.stand_in.command("calls", &[("path", path)]).await["count"].as_u64().unwrap()
    }

    /// Kills one of the processes in a call, and waits for the end of the payment.
    async fn die_in(&mut self, victim: VictimProcess, call: PaymentCall, fault: &str) {
        let name = format!("{victim:?} {call:?} {fault}");
        let order = self.hold().await;
        let kept_before = self.money_kept().await;
        let calls_before = self.count_calls(call.path()).await;
        self.reach(&order, call, fault).await;
        eventually(&format!("{name}: the call"), HANG_LIMIT, async || {
            self.count_calls(call.path()).await > calls_before
        })
        .await;
        match victim {
            VictimProcess::Server => {
                self.server.kill();
                self.stand_in.command("heal", &[]).await;
                self.server.launch().await;
            }
            VictimProcess::StandIn => {
                self.stand_in.kill_and_restart().await;
                self.send_webhooks().await;
            }
        }
        if call == PaymentCall::OpenPage {
            let session = self.open_page(&order).await;
            self.approve(&session).await;
        }
        self.wait_for_payment(&order, call.payment_status()).await;
        let status = self.read(&format!("/api/v1/orders/{}", order.id), &order.token).await;
        assert_eq!(status["status"], call.order_status(), "{name}: {status}");
        // The refund of a part is finished beside its payment.
        let kept = kept_before + call.money_kept();
        eventually(&format!("{name}: Stripe keeps {kept}"), HANG_LIMIT, async || {
            self.money_kept().await == kept
        })
        .await;
    }

    async fn money_kept(&self) -> i64 {
        self.stand_in.command("money", &[("currency", "eur")]).await["kept"].as_i64().unwrap()
    }

    /// `doorbuster reconcile` beside the server, until all refunds are in the tables.
    async fn assert_reconciled(&self) {
        let (url, key) = (self.stand_in.url.clone(), self.folder.path().join("key"));
        let data = self.server.data();
        let printed = eventually_some("nothing differs", HANG_LIMIT, async || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
            command
                .args(["reconcile", "--payments", "stripe", "--from", "2020-01-01T00:00:00Z"])
                .args(["--to", "2099-01-01T00:00:00Z", "--stripe-api", &url, "--stripe-key-file"])
                .arg(&key)
                .arg("--data")
                .arg(&data);
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
        })
        .await;
        assert!(printed.contains(" 0 differences"), "{printed}");
    }
}

async fn die_in_each_call(victim: VictimProcess) {
    let mut shop = CrashShop::start().await;
    let mut kept = 0;
    for fault in ["stall", "do_and_stall"] {
        for call in PaymentCall::ALL {
            shop.die_in(victim, call, fault).await;
            kept += call.money_kept();
        }
    }
    assert_eq!(shop.money_kept().await, kept);
    shop.server.verify().await;
    shop.assert_reconciled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_in_any_call_loses_and_keeps_no_money() {
    die_in_each_call(VictimProcess::Server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stripe_that_is_killed_in_any_call_loses_and_keeps_no_money() {
    die_in_each_call(VictimProcess::StandIn).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stripe_that_answers_later_than_anyone_waits_ends_with_one_payment() {
    let mut shop = CrashShop::start().await;
    let order = shop.hold().await;
    // Each call takes longer than the client waits, and is done all the same.
    let slow = [("path", "/v1/"), ("count", "4"), ("kind", "delay_ms_6000")];
    shop.stand_in.command("fail", &slow).await;
    let session = shop.open_page(&order).await;
    shop.stand_in.command("fail", &slow).await;
    shop.approve(&session).await;
    shop.wait_for_payment(&order, "captured").await;
    assert_eq!(shop.money_kept().await, PRICE);
    shop.server.verify().await;
    shop.assert_reconciled().await;
}
