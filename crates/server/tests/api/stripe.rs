//! A whole shop whose orders are paid through Stripe's stand-in: the buyer's way, webhooks that come twice, late, in another order or never,
//! foreign and forged ones, holds that end, keys that are refused. The provider alone is tested in `tests/stripe`.

mod money;

use crate::merchant::{Merchant, eur, id, order};
use crate::support::{HttpReply, SignedInUser, TestApp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use server::commands::settings::Serve;
use server::payments::stripe::client::ClientTimeouts;
use server::store::payment_findings::{self, FindingKind};
use server::store::payments::{self, PaymentState};
use server::store::provider_notices;
use std::cell::Cell;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use test_servers::stripe::faults::FaultKind;
use test_servers::stripe::{BuyerChoice, StripeStandIn, TEST_KEY, TEST_WEBHOOK_SECRET, WebhookMode, sign};
use test_servers::wait::{HANG_LIMIT, eventually, eventually_some};
use uuid::Uuid;

const PRICE: i64 = 4_999;
const HOLD_S: i64 = 60;

struct StripeShop {
    app: TestApp,
    stripe: StripeStandIn,
    secrets: TempDir,
}

impl StripeShop {
    async fn start() -> Self {
        Self::start_with(StripeStandIn::start(), ClientTimeouts::default()).await
    }

    async fn start_with(stripe: StripeStandIn, timeouts: ClientTimeouts) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), stripe, timeouts).await
    }

    /// The same on a folder that may have something in `data` already.
    async fn start_in(folder: TempDir, stripe: StripeStandIn, timeouts: ClientTimeouts) -> Self {
        let shop = Self::start_unchecked(folder, stripe, timeouts).await;
        // The key is tried beside the start, and would meet faults that are meant for payments.
        eventually("the key was tried", HANG_LIMIT, async || {
            shop.stripe.calls().iter().any(|call| call.path == "/v1/disputes")
        })
        .await;
        shop
    }

    async fn start_unchecked(folder: TempDir, stripe: StripeStandIn, timeouts: ClientTimeouts) -> Self {
        let secrets = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = secrets.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (key, secret) = (file("key", TEST_KEY), file("secret", TEST_WEBHOOK_SECRET));
        let flags = [
            "--limits",
            "off",
            "--public-url",
            "https://shop.example",
            "--payments",
            "stripe",
            "--stripe-api",
            stripe.url(),
            "--stripe-key-file",
            &key,
            "--stripe-webhook-secret-file",
            &secret,
        ];
        let change = |settings: &mut Serve| settings.payments.stripe_timeouts = timeouts;
        let app = TestApp::start_in(folder, &flags, change).await;
        stripe.send_webhooks_to(&format!("http://{}/webhooks/stripe", app.instance.address));
        Self { app, stripe, secrets }
    }

    async fn sale(&self, quantity: u32) -> String {
        self.sale_of(&self.app.admin().await, quantity).await
    }

    async fn sale_of(&self, admin: &SignedInUser, quantity: u32) -> String {
        let rules =
            json!({"price": eur(PRICE), "quantity": quantity, "limitPerBuyer": 2, "holdSeconds": HOLD_S});
        let merchant = Merchant { app: &self.app, token: admin.access.clone() };
        merchant.sale(&rules).await
    }

    /// The status of `/health`, and what it reports of Stripe.
    async fn stripe_health(&self) -> (u16, Value) {
        let health = self.app.get("/health").await;
        let report = health.json();
        let parts = report["components"].as_array().unwrap();
        let stripe = parts.iter().find(|part| part["name"] == "stripe").unwrap();
        (health.status.as_u16(), stripe.clone())
    }

    /// The payments of an order, as the admin sees them.
    async fn list_payments(&self, order: &str) -> Value {
        let admin = self.app.admin().await;
        let path = format!("/api/v1/admin/orders/{order}/payments");
        self.app.get_as(&admin.access, &path).await.json()["items"].clone()
    }

    async fn hold(&self, buyer: &SignedInUser, sale: &str) -> String {
        let reply = order(&self.app, buyer, sale, 1).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        id(&reply.json())
    }

    async fn pay(&self, buyer: &SignedInUser, order: &str) -> HttpReply {
        let path = format!("/api/v1/orders/{order}/pay");
        self.app.post_as(&buyer.access, &path, &json!({"method": "stripe"})).await
    }

    /// Begins to pay; the payment and its session. Meanwhile the reconciler, or a look at the order, may ask Stripe about it.
    async fn open_page(&self, buyer: &SignedInUser, order: &str) -> (Uuid, String) {
        let reply = eventually_some("the payment is free", HANG_LIMIT, async || {
            let reply = self.pay(buyer, order).await;
            let is_early = reply.status == 409 && reply.problem() == "request_in_flight";
            (!is_early).then_some(reply)
        })
        .await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let body = reply.json();
        let url = body["nextAction"]["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with(self.stripe.url()), "{body}");
        let payment: Uuid = body["payment"]["id"].as_str().unwrap().parse().unwrap();
        (payment, self.stripe.find_session(&payment.to_string()).unwrap())
    }

    /// Pays on the page; the payment, captured, and its intent.
    async fn pay_on_page(&self, buyer: &SignedInUser, order: &str) -> (Uuid, String) {
        let (payment, session) = self.open_page(buyer, order).await;
        self.stripe.act_as_buyer(&session, BuyerChoice::Approve).unwrap();
        self.wait_for(payment, PaymentState::Captured).await;
        let intent = self.stripe.object(&session).unwrap()["payment_intent"].as_str().unwrap().to_owned();
        (payment, intent)
    }

    async fn order_status(&self, buyer: &SignedInUser, order: &str) -> Value {
        self.app.get_as(&buyer.access, &format!("/api/v1/orders/{order}")).await.json()["status"].clone()
    }

    async fn wait_for(&self, payment: Uuid, expected: PaymentState) {
        let store = &self.app.instance.app.shop.store;
        eventually(&format!("the payment is {}", expected.as_str()), HANG_LIMIT, async || {
            payments::find(store, payment).await.unwrap().unwrap().state == expected
        })
        .await;
    }

    /// Has the shop try everything that is not settled, whenever it is due.
    async fn settle_payments(&self) {
        self.app.instance.app.shop.payments.reconcile(sale::Timestamp::MAX).await.unwrap();
    }

    /// Posts a body as a webhook; `None` for no signature.
    async fn post_webhook(&self, body: &[u8], signature: Option<&str>) -> StatusCode {
        let mut request = self.app.request(Method::POST, "/webhooks/stripe").body(body.to_vec());
        if let Some(signature) = signature {
            request = request.header("stripe-signature", signature);
        }
        request.send().await.unwrap().status()
    }

    fn sign(&self, body: &[u8], off_s: i64) -> String {
        sign(TEST_WEBHOOK_SECRET, (self.app.instance.app.shop.wall_clock)().0 / 1_000 + off_s, body)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_confirms_the_order_of_a_buyer_who_never_comes_back() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(2).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    let (payment, session) = shop.open_page(&anna, &order).await;
    assert_eq!(shop.open_page(&anna, &order).await, (payment, session.clone()), "the same page");
    assert_eq!(shop.order_status(&anna, &order).await, "pending");
    shop.stripe.act_as_buyer(&session, BuyerChoice::Approve).unwrap();
    shop.wait_for(payment, PaymentState::Captured).await;
    assert_eq!(shop.order_status(&anna, &order).await, "confirmed");
    assert_eq!(shop.stripe.money_kept("eur"), PRICE);
    let sandbox = json!({"method": "sandbox:approve"});
    let other = shop.hold(&shop.app.register("bert").await, &sale).await;
    let refused = shop.app.post_as(&anna.access, &format!("/api/v1/orders/{other}/pay"), &sandbox).await;
    assert!(refused.status.is_client_error(), "the sandbox sells nothing here: {refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_come_twice_or_in_another_order_lead_to_the_same_end() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(3).await;
    for (name, mode, reversed) in [
        ("anna", WebhookMode::Twice, false),
        ("bert", WebhookMode::Hold, false),
        ("carl", WebhookMode::Hold, true),
    ] {
        shop.stripe.set_webhook_mode(mode);
        let buyer = shop.app.register(name).await;
        let order = shop.hold(&buyer, &sale).await;
        let (payment, session) = shop.open_page(&buyer, &order).await;
        shop.stripe.act_as_buyer(&session, BuyerChoice::Decline).unwrap();
        shop.stripe.act_as_buyer(&session, BuyerChoice::Approve).unwrap();
        shop.stripe.release_webhooks(reversed);
        shop.wait_for(payment, PaymentState::Captured).await;
        assert_eq!(shop.order_status(&buyer, &order).await, "confirmed", "{name}");
    }
    shop.stripe.release_webhooks(false);
    let store = &shop.app.instance.app.shop.store;
    eventually("all webhooks are delivered and handled", HANG_LIMIT, async || {
        shop.stripe.count_held_webhooks() == 0 && provider_notices::count_open(store).await.unwrap() == 0
    })
    .await;
    assert_eq!(shop.stripe.money_kept("eur"), 3 * PRICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_comes_back_before_any_webhook_causes_the_same_question() {
    let shop = StripeShop::start().await;
    shop.stripe.set_webhook_mode(WebhookMode::Never);
    let sale = shop.sale(1).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    let (payment, session) = shop.open_page(&anna, &order).await;
    shop.stripe.act_as_buyer(&session, BuyerChoice::Approve).unwrap();
    let back = shop.app.request(Method::GET, &format!("/pay/return/{payment}")).send().await.unwrap();
    assert_eq!(back.status(), 303);
    shop.wait_for(payment, PaymentState::Captured).await;
    assert_eq!(shop.order_status(&anna, &order).await, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_ends_with_its_hold() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    let (payment, session) = shop.open_page(&anna, &order).await;
    shop.app.shift_clock(HOLD_S * 1_000 + 1_000);
    shop.wait_for(payment, PaymentState::Voided).await;
    assert_eq!(shop.stripe.object(&session).unwrap()["status"], "expired");
    assert!(shop.stripe.act_as_buyer(&session, BuyerChoice::Approve).is_err());
    assert_eq!(shop.order_status(&anna, &order).await, "expired");
    assert_eq!(shop.stripe.money_kept("eur"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_of_the_first_call_loses_no_payment() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    shop.stripe.fail_next("/v1/checkout/sessions", u32::MAX, FaultKind::LoseReply);
    let first = shop.pay(&anna, &order).await;
    assert_eq!(first.status, 503, "{first:?}");
    shop.stripe.heal();
    let (payment, session) = shop.open_page(&anna, &order).await;
    shop.stripe.act_as_buyer(&session, BuyerChoice::Approve).unwrap();
    shop.wait_for(payment, PaymentState::Captured).await;
    assert_eq!(shop.stripe.money_kept("eur"), PRICE, "one payment");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_old_or_broken_webhook_is_refused_and_a_foreign_one_ignored() {
    let shop = StripeShop::start().await;
    let event = |account: &str, object: &str| {
        format!(r#"{{"id":"evt_x","object":"event","type":"refund.created","livemode":false{account},"data":{{"object":{object}}}}}"#)
            .into_bytes()
    };
    let foreign = event("", r#"{"object":"customer","id":"cus_1"}"#);
    let connected = event(r#","account":"acct_2""#, r#"{"object":"refund","payment_intent":"pi_1"}"#);
    for body in [&foreign, &connected] {
        assert_eq!(shop.post_webhook(body, Some(&shop.sign(body, 0))).await, 204);
    }
    let body = &foreign;
    let other = sign("whsec_other", 1_700_000_000, body);
    let two = format!("{},v1={}", shop.sign(body, 0), "0".repeat(64));
    assert_eq!(shop.post_webhook(body, Some(&two)).await, 204, "one of two signatures is right");
    let (old, of_another) = (shop.sign(body, -301), shop.sign(b"{}", 0));
    for signature in [None, Some(""), Some(other.as_str()), Some(old.as_str()), Some(of_another.as_str())] {
        assert_eq!(shop.post_webhook(body, signature).await, 400, "{signature:?}");
    }
    let broken = b"{\"id\":".to_vec();
    assert_eq!(shop.post_webhook(&broken, Some(&shop.sign(&broken, 0))).await, 400);
    let large = vec![b' '; 1 << 20];
    assert_eq!(shop.post_webhook(&large, Some(&shop.sign(&large, 0))).await, 413);
    let mut padded = foreign.clone();
    padded.resize(200 << 10, b' ');
    assert_eq!(
        shop.post_webhook(&padded, Some(&shop.sign(&padded, 0))).await,
        204,
        "more than other bodies may have"
    );
    let store = &shop.app.instance.app.shop.store;
    assert_eq!(provider_notices::count_open(store).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_of_now_by_the_machines_clock_or_by_that_of_sales() {
    let shop = StripeShop::start().await;
    let body = br#"{"id":"evt_x","object":"event","type":"a.b","livemode":false,"data":{"object":{}}}"#;
    shop.app.shift_clock(3_600_000);
    assert_eq!(shop.post_webhook(body, Some(&shop.sign(body, 0))).await, 204);
    assert_eq!(shop.post_webhook(body, Some(&shop.sign(body, 3_600))).await, 204, "by the clock of sales");
    for off_s in [-400, 400, 3_200, 4_000] {
        assert_eq!(
            shop.post_webhook(body, Some(&shop.sign(body, off_s))).await,
            400,
            "by neither: {off_s} s"
        );
    }
    let sale = shop.sale(1).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    shop.pay_on_page(&anna, &order).await;
    assert_eq!(shop.order_status(&anna, &order).await, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_without_stripe_has_no_such_webhook() {
    let app = TestApp::start().await;
    let reply = app.request(Method::POST, "/webhooks/stripe").body("{}").send().await.unwrap();
    assert_eq!(reply.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_in_the_dashboard_and_disputes_become_findings() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    let (payment, session) = shop.open_page(&anna, &order).await;
    shop.stripe.act_as_buyer(&session, BuyerChoice::Approve).unwrap();
    shop.wait_for(payment, PaymentState::Captured).await;
    let intent = shop.stripe.object(&session).unwrap()["payment_intent"].as_str().unwrap().to_owned();
    shop.stripe.refund_in_dashboard(&intent, 1_000).unwrap();
    let dispute = shop.stripe.open_dispute(&intent).unwrap();
    let store = &shop.app.instance.app.shop.store;
    eventually("both are found", HANG_LIMIT, async || {
        payment_findings::list_of_payment(store, payment).await.unwrap().len() == 2
    })
    .await;
    let refused = shop.refund(&order, None).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (409, "refund_refused"));
    shop.stripe.close_dispute(&dispute, false).unwrap();
    eventually("the dispute is lost", HANG_LIMIT, async || {
        payment_findings::sum_lost(store, payment).await.unwrap() == PRICE
    })
    .await;
    let found = payment_findings::list_of_payment(store, payment).await.unwrap();
    let outside = found.iter().find(|finding| finding.kind == FindingKind::RefundedOutside).unwrap();
    assert_eq!(outside.amount.minor, 1_000);
    let listed = &shop.list_payments(&order).await[0];
    assert_eq!((&listed["provider"], &listed["status"]), (&json!("stripe"), &json!("captured")));
    assert_eq!(listed["reference"], session);
    let findings = listed["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["kind"] == "dispute" && finding["status"] == "lost"));
    let dashboard = format!("https://dashboard.stripe.com/test/search?query={payment}");
    assert_eq!(listed["dashboardUrl"], dashboard);
    assert_eq!(listed.get("nextTryAt"), None, "nothing is left to ask");
    assert_eq!(shop.order_status(&anna, &order).await, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_not_refunded_while_a_dispute_holds_its_money_of_which_no_notice_came() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    let (payment, intent) = shop.pay_on_page(&anna, &order).await;
    shop.stripe.set_webhook_mode(WebhookMode::Never);
    shop.stripe.open_dispute(&intent).unwrap();
    for amount in [None, Some(900)] {
        let refused = shop.refund(&order, amount).await;
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (409, "refund_refused"));
    }
    assert_eq!(shop.order_status(&anna, &order).await, "confirmed");
    let store = &shop.app.instance.app.shop.store;
    let found = payment_findings::list_of_payment(store, payment).await.unwrap();
    assert!(matches!(&found[..], [finding] if finding.kind == FindingKind::Dispute), "{found:?}");
    let row = payments::find(store, payment).await.unwrap().unwrap();
    assert_eq!((row.state, row.refunded_minor), (PaymentState::Captured, 0));
    assert_eq!(shop.stripe.money_kept("eur"), PRICE);
}

/// Refunds a paid order while a dispute holds its money of which the shop does not hear, and returns the dispute.
async fn refund_into_dispute(shop: &StripeShop, order: &str, payment: Uuid, intent: &str) -> String {
    shop.stripe.set_webhook_mode(WebhookMode::Never);
    let dispute = shop.stripe.open_dispute(intent).unwrap();
    // The shop cannot ask for disputes before it has the order refunded.
    shop.stripe.fail_next("GET /v1/disputes", u32::MAX, FaultKind::Conflict);
    let refunded = shop.refund(order, None).await;
    assert_eq!(refunded.status, 200, "{refunded:?}");
    shop.wait_for(payment, PaymentState::Refunding).await;
    dispute
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_meets_a_dispute_is_made_when_the_dispute_is_won() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    let (payment, intent) = shop.pay_on_page(&anna, &order).await;
    let dispute = refund_into_dispute(&shop, &order, payment, &intent).await;
    shop.stripe.heal();
    let refused = |shop: &StripeShop| {
        let calls = shop.stripe.calls().into_iter();
        calls.filter(|call| call.path == "/v1/refunds" && call.method == "POST" && call.status == 400).count()
    };
    // Stripe has kept the refusal under the refund's key by then.
    eventually("the refund was refused again", HANG_LIMIT, async || {
        shop.settle_payments().await;
        refused(&shop) > 1
    })
    .await;
    shop.stripe.close_dispute(&dispute, true).unwrap();
    eventually("the money went back", HANG_LIMIT, async || {
        shop.settle_payments().await;
        shop.stripe.money_kept("eur") == 0
    })
    .await;
    shop.wait_for(payment, PaymentState::Refunded).await;
    assert_eq!(shop.stripe.list_refunds(&intent).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn captured_money_that_is_voided_ends_with_its_lost_dispute() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    let (payment, session) = shop.open_page(&anna, &order).await;
    shop.stripe.set_webhook_mode(WebhookMode::Never);
    // The reconciler must not learn that she has paid before the order is cancelled.
    shop.stripe.fail_next("GET /v1/checkout/sessions", u32::MAX, FaultKind::Conflict);
    shop.stripe.act_as_buyer(&session, BuyerChoice::Approve).unwrap();
    let intent = shop.stripe.object(&session).unwrap()["payment_intent"].as_str().unwrap().to_owned();
    shop.stripe.capture_in_dashboard(&intent).unwrap();
    let dispute = shop.stripe.open_dispute(&intent).unwrap();
    let cancel = shop.app.request(Method::DELETE, &format!("/api/v1/orders/{order}"));
    assert_eq!(HttpReply::send(cancel.bearer_auth(&anna.access)).await.status, 200);
    shop.stripe.heal();
    let settle_until = async |state: PaymentState| {
        eventually(&format!("the payment is {}", state.as_str()), HANG_LIMIT, async || {
            shop.settle_payments().await;
            let store = &shop.app.instance.app.shop.store;
            payments::find(store, payment).await.unwrap().unwrap().state == state
        })
        .await;
    };
    settle_until(PaymentState::Voiding).await;
    shop.stripe.close_dispute(&dispute, false).unwrap();
    settle_until(PaymentState::Voided).await;
    assert_eq!(shop.stripe.money_kept("eur"), 0, "the buyer has it from the bank, once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_meets_a_dispute_ends_when_the_dispute_is_lost() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    let (payment, intent) = shop.pay_on_page(&anna, &order).await;
    let dispute = refund_into_dispute(&shop, &order, payment, &intent).await;
    assert_eq!(shop.order_status(&anna, &order).await, "refunded");
    let store = &shop.app.instance.app.shop.store;
    let stuck = payments::find_stuck(store, sale::Timestamp::MAX).await.unwrap().unwrap();
    assert_eq!((stuck.oldest, stuck.newest, stuck.count), (payment, payment, 1));
    shop.stripe.heal();
    shop.app.shift_clock(60_000);
    eventually("the dispute is found", HANG_LIMIT, async || {
        !payment_findings::list_of_payment(store, payment).await.unwrap().is_empty()
    })
    .await;
    shop.wait_for(payment, PaymentState::Refunding).await;
    let counts = payments::count_unsettled(store, sale::Timestamp::MAX).await.unwrap();
    assert_eq!((counts.all, counts.stuck), (1, 0), "it waits for the bank, and for no person");
    assert_eq!(payments::find_stuck(store, sale::Timestamp::MAX).await.unwrap(), None);
    shop.stripe.close_dispute(&dispute, false).unwrap();
    shop.app.shift_clock(600_000);
    shop.wait_for(payment, PaymentState::Voided).await;
    assert_eq!(payments::count_unsettled(store, sale::Timestamp(0)).await.unwrap().all, 0);
    assert_eq!(payment_findings::sum_lost(store, payment).await.unwrap(), PRICE);
    assert_eq!(shop.stripe.money_kept("eur"), 0, "the buyer has it from the bank, once");
    assert_eq!(shop.order_status(&anna, &order).await, "refunded");
    let again = shop.refund(&order, None).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(shop.stripe.money_kept("eur"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_money_was_let_go_before_its_capture_can_be_refunded() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    let (payment, session) = shop.open_page(&anna, &order).await;
    shop.stripe.fail_next("/capture", u32::MAX, FaultKind::HangUp);
    shop.stripe.act_as_buyer(&session, BuyerChoice::Approve).unwrap();
    eventually("the law has confirmed it", HANG_LIMIT, async || {
        shop.order_status(&anna, &order).await == "confirmed"
    })
    .await;
    let intent = shop.stripe.object(&session).unwrap()["payment_intent"].as_str().unwrap().to_owned();
    shop.stripe.cancel_in_dashboard(&intent).unwrap();
    shop.stripe.heal();
    // Stripe's circuit may be open for a moment after the calls that failed.
    eventually("it is refunded", HANG_LIMIT, async || {
        let reply = shop.refund(&order, None).await;
        assert!([200, 409, 503].contains(&reply.status.as_u16()), "{reply:?}");
        reply.status == 200
    })
    .await;
    shop.wait_for(payment, PaymentState::Voided).await;
    assert_eq!(shop.order_status(&anna, &order).await, "refunded");
    let again = shop.refund(&order, None).await;
    assert_eq!(again.status, 200, "{again:?}");
    let store = &shop.app.instance.app.shop.store;
    assert_eq!(payments::count_unsettled(store, sale::Timestamp(0)).await.unwrap().all, 0);
    assert_eq!(shop.stripe.money_kept("eur"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_shows_in_health_and_not_in_readiness() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    shop.stripe.revoke_key(true);
    let refused = shop.pay(&anna, &order).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (503, "payment_unavailable"));
    let (status, stripe) = shop.stripe_health().await;
    assert_eq!(status, 503);
    assert_eq!((&stripe["ok"], &stripe["code"]), (&json!(false), &json!("provider_key_invalid")));
    assert_eq!(shop.app.get("/readyz").await.status, 200);
    shop.stripe.revoke_key(false);
    let (payment, session) = shop.open_page(&anna, &order).await;
    shop.stripe.act_as_buyer(&session, BuyerChoice::Approve).unwrap();
    shop.wait_for(payment, PaymentState::Captured).await;
    assert_eq!(shop.app.get("/health").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named_in_health_by_itself() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    shop.stripe.remove_rights(&["checkout_session_write"]);
    assert_eq!(shop.pay(&anna, &order).await.status, 503);
    let (status, stripe) = shop.stripe_health().await;
    assert_eq!((status, &stripe["code"]), (503, &json!("provider_rights_missing")));
    let missing = stripe["missingRights"].as_array().unwrap();
    assert_eq!(missing.len(), 1);
    assert!(missing[0].as_str().unwrap().starts_with("Checkout Sessions: write"), "{stripe}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_at_the_start_is_never_called_healthy_and_recovers_without_a_payment() {
    let mut stripe = StripeStandIn::start();
    stripe.kill();
    let mut shop =
        StripeShop::start_unchecked(tempfile::tempdir().unwrap(), stripe, ClientTimeouts::default()).await;
    eventually("health says that the provider does not answer", HANG_LIMIT, async || {
        let (status, stripe) = shop.stripe_health().await;
        assert_eq!((status, &stripe["ok"]), (503, &json!(false)), "{stripe}");
        let code = stripe["code"].as_str().unwrap();
        assert!(["provider_unknown", "provider_unavailable"].contains(&code), "{stripe}");
        assert_eq!(stripe["since"].is_string(), code == "provider_unavailable", "{stripe}");
        code == "provider_unavailable"
    })
    .await;
    assert_eq!(shop.app.get("/readyz").await.status, 200);
    shop.stripe.restart();
    eventually("it is healthy again", HANG_LIMIT, async || shop.stripe_health().await.0 == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_sees_when_an_open_payment_is_asked_about_again() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let anna = shop.app.register("anna").await;
    let order = shop.hold(&anna, &sale).await;
    let before = (shop.app.instance.app.shop.now)();
    let (payment, session) = shop.open_page(&anna, &order).await;
    let listed = &shop.list_payments(&order).await[0];
    assert_eq!(listed["status"], "open");
    let next: jiff::Timestamp = listed["nextTryAt"].as_str().unwrap().parse().unwrap();
    assert!(next.as_millisecond() > before.0, "{listed}");
    shop.stripe.act_as_buyer(&session, BuyerChoice::Approve).unwrap();
    shop.wait_for(payment, PaymentState::Captured).await;
    assert_eq!(shop.list_payments(&order).await[0].get("nextTryAt"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_could_not_be_paid_is_refused_when_it_is_announced() {
    let shop = StripeShop::start().await;
    let merchant = Merchant::sign_in(&shop.app).await;
    let product = merchant.product("Lamp").await;
    for price in [
        json!({"amount": 49, "currency": "EUR"}),
        json!({"amount": 5_124, "currency": "KWD"}),
        json!({"amount": 50_000_000, "currency": "EUR"}),
        json!({"amount": 500_050, "currency": "MGA"}),
    ] {
        let rules = json!({"price": price, "quantity": 1, "limitPerBuyer": 2, "holdSeconds": HOLD_S});
        let refused = merchant.post("/flash-sales", &merchant.sale_body(&product, &rules)).await;
        assert_eq!(refused.status, 422, "{price}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_in_the_dashboard_leaves_less_and_one_that_fails_leaves_more() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let (order, payment, intent) = shop.buy("anna", &sale).await;
    let outside = shop.stripe.refund_in_dashboard(&intent, 1_000).unwrap();
    shop.wait_for_refunded(payment, 1_000).await;
    let too_high = shop.refund(&order, Some(PRICE - 999)).await;
    assert_eq!((too_high.status.as_u16(), too_high.problem().as_str()), (409, "refund_too_high"));
    assert_eq!(too_high.json()["left"], PRICE - 1_000);
    assert_eq!(shop.refund(&order, Some(500)).await.status, 200);
    shop.wait_for_refunded(payment, 1_500).await;
    shop.stripe.fail_refund(&outside).unwrap();
    shop.wait_for_refunded(payment, 500).await;
    let ours = shop.stripe.list_refunds(&intent).into_iter().find(|refund| *refund != outside).unwrap();
    shop.stripe.fail_refund(&ours).unwrap();
    shop.wait_for_refunded(payment, 0).await;
    assert_eq!(shop.stripe.money_kept("eur"), PRICE);
    assert_eq!(shop.refund(&order, None).await.status, 200);
    assert_eq!(shop.stripe.money_kept("eur"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_all_pays_what_the_dashboard_has_left_without_a_webhook() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(2).await;
    for (buyer, minor) in [("anna", 1_000), ("bert", PRICE)] {
        shop.stripe.set_webhook_mode(WebhookMode::Once);
        let (order, payment, intent) = shop.buy(buyer, &sale).await;
        shop.stripe.set_webhook_mode(WebhookMode::Never);
        shop.stripe.refund_in_dashboard(&intent, minor).unwrap();
        let refunded = shop.refund(&order, None).await;
        assert_eq!((refunded.status.as_u16(), &refunded.json()["status"]), (200, &json!("refunded")));
        shop.wait_for(payment, PaymentState::Refunded).await;
        assert_eq!(shop.stripe.money_kept("eur"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_all_that_fails_at_the_bank_waits_for_a_person() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let (order, payment, intent) = shop.buy("anna", &sale).await;
    shop.stripe.fail_next("POST /v1/refunds", u32::MAX, FaultKind::LoseReply);
    assert_eq!(shop.refund(&order, None).await.status, 200);
    let [made]: [String; 1] = shop.stripe.list_refunds(&intent).try_into().unwrap();
    shop.stripe.fail_refund(&made).unwrap();
    shop.stripe.heal();
    let store = &shop.app.instance.app.shop.store;
    eventually("the failure is found", HANG_LIMIT, async || {
        let found = payment_findings::list_of_payment(store, payment).await.unwrap();
        found.iter().any(|finding| finding.kind == FindingKind::RefundFailed)
    })
    .await;
    eventually("its webhook is handled", HANG_LIMIT, async || {
        provider_notices::count_open(store).await.unwrap() == 0
    })
    .await;
    let row = payments::find(store, payment).await.unwrap().unwrap();
    assert_eq!((row.state, row.refunded_minor), (PaymentState::Refunding, 0));
    assert_eq!(shop.stripe.money_kept("eur"), PRICE);
    shop.stripe.refund_in_dashboard(&intent, PRICE).unwrap();
    shop.wait_for(payment, PaymentState::Refunded).await;
    assert_eq!(shop.stripe.money_kept("eur"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_refused_beside_the_dashboard_gives_nothing_back() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(1).await;
    let (order, payment, intent) = shop.buy("anna", &sale).await;
    shop.stripe.set_webhook_mode(WebhookMode::Never);
    shop.stripe.refund_in_dashboard(&intent, 3_000).unwrap();
    let refused = shop.refund(&order, Some(2_500)).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (409, "refund_refused"));
    shop.wait_for_refunded(payment, 3_000).await;
    assert_eq!(shop.stripe.money_kept("eur"), PRICE - 3_000);
    let again = shop.refund(&order, Some(2_500)).await;
    assert_eq!((again.status.as_u16(), again.problem().as_str()), (409, "refund_too_high"));
}

impl StripeShop {
    /// Asks for a refund as an admin, again while a webhook works on the payment; `None` for all that is left, with the unit back in the sale.
    async fn refund(&self, order: &str, minor: Option<i64>) -> HttpReply {
        let body = match minor {
            Some(minor) => json!({"amount": eur(minor), "restock": false}),
            None => json!({"restock": true}),
        };
        let admin = self.app.admin().await;
        let path = format!("/api/v1/admin/orders/{order}/refund");
        eventually_some("the payment is free", HANG_LIMIT, async || {
            let reply = self.app.post_as(&admin.access, &path, &body).await;
            let is_early = reply.status == 409 && reply.problem() == "request_in_flight";
            (!is_early).then_some(reply)
        })
        .await
    }

    async fn wait_for_refunded(&self, payment: Uuid, minor: i64) {
        let store = &self.app.instance.app.shop.store;
        eventually(&format!("{minor} are refunded"), HANG_LIMIT, async || {
            payments::find(store, payment).await.unwrap().unwrap().refunded_minor == minor
        })
        .await;
    }

    /// Pays for an order, to the end.
    async fn buy(&self, buyer: &str, sale: &str) -> (String, Uuid, String) {
        let buyer = self.app.register(buyer).await;
        let order = self.hold(&buyer, sale).await;
        let (payment, session) = self.open_page(&buyer, &order).await;
        self.stripe.act_as_buyer(&session, BuyerChoice::Approve).unwrap();
        self.wait_for(payment, PaymentState::Captured).await;
        let intent = self.stripe.object(&session).unwrap()["payment_intent"].as_str().unwrap().to_owned();
        (order, payment, intent)
    }

    /// Runs `doorbuster reconcile` beside the shop; its exit code and what it printed.
    async fn reconcile(&self) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
        let at = |days: i64| {
            let now = (self.app.instance.app.shop.now)();
            documents::rfc3339(now.plus_ms(days * 24 * 3_600 * 1_000))
        };
        command
            .args(["reconcile", "--payments", "stripe", "--from", &at(-1), "--to", &at(1)])
            .args(["--stripe-api", self.stripe.url(), "--stripe-key-file"])
            .arg(self.secrets.path().join("key"));
        let database = self.app.database_url();
        if database.starts_with("postgres") {
            command.args(["--database", &database]);
        } else {
            command.arg("--data").arg(self.app.data());
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reconcile_beside_buyers_who_pay_names_no_difference() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(500).await;
    // Stripe's list is read some time after the ledger, and has the payments of that time.
    shop.stripe.fail_next("GET /v1/payment_intents", 2, FaultKind::Delay(Duration::from_secs(1)));
    let (is_done, mut paid) = (Cell::new(false), 0);
    let reconciling = async {
        let reconciled = shop.reconcile().await;
        is_done.set(true);
        reconciled
    };
    let buying = async {
        while !is_done.get() {
            shop.buy(&format!("buyer{paid}"), &sale).await;
            paid += 1;
        }
    };
    let ((code, printed), ()) = tokio::join!(reconciling, buying);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.ends_with(" captured payments compared, 0 differences\n"), "{printed}");
    let (code, printed) = shop.reconcile().await;
    let expected = format!("{paid} captured payments compared, 0 differences\n");
    assert_eq!((code, printed), (Some(0), expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn reconcile_names_what_differs() {
    let shop = StripeShop::start().await;
    let sale = shop.sale(3).await;
    let (order, _, intent) = shop.buy("anna", &sale).await;
    shop.buy("bert", &sale).await;
    let (code, printed) = shop.reconcile().await;
    assert_eq!((code, printed.as_str()), (Some(0), "2 captured payments compared, 0 differences\n"));

    shop.stripe.refund_in_dashboard(&intent, PRICE).unwrap();
    let (code, printed) = shop.reconcile().await;
    assert_eq!(code, Some(1));
    assert!(printed.contains(&format!("confirmed without money: order {order}: {intent}")), "{printed}");

    // Another shop on the same account, as after a restore of a ledger without these orders.
    let StripeShop { app, stripe, secrets: _secrets } = shop;
    app.stop().await;
    let restored = StripeShop::start_with(stripe, ClientTimeouts::default()).await;
    let (code, printed) = restored.reconcile().await;
    assert_eq!(code, Some(1));
    assert_eq!(printed.matches("captured without an order").count(), 1, "{printed}");
}
