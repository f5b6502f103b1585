//! Each request of the client against the published description of Stripe's API, which Stripe's own program stripe-mock has: it refuses unknown
//! paths, unknown parameters and values of another type. It keeps nothing, and replies with examples, so the requests are those that the
//! client sends to the stand-in. It does not check the names of expansions and those below `created`: what was expanded is looked for in its
//! reply. The newest one that the Go module proxy has is of 2026-08-26.dahlia, which is older than the pinned version.
//!
//! `scripts/setup.sh` fetches the program where Go is installed. Without it the test says so and compares nothing.

use crate::support::{START, StripeFixture, build_client, money, payment};
use sale::Timestamp;
use serde_json::Value;
use server::payments::stripe::StripeProvider;
use server::payments::stripe::client::{ApiError, StripeClient};
use server::payments::stripe::request::{ApiRequest, ApiVerb, KeyRight};
use server::payments::{
    AuthorisationResult, PaymentProvider, PaymentStatus, ProviderHealth, ProviderPayment, RefundId,
};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;
use test_servers::ReservedPort;
use test_servers::process::ProcessGuard;
use test_servers::stripe::{ApiCall, BuyerChoice};
use test_servers::wait::{HANG_LIMIT, eventually_blocking};
use uuid::Uuid;

/// Where `scripts/setup.sh` puts the program.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/stripe-mock");

/// Objects on a page of a list: as many as the client asks for.
const PAGE_LEN: usize = 100;

/// What the client calls, with the second page of each list.
const ENDPOINTS: [&str; 15] = [
    "GET /v1/checkout/sessions",
    "GET /v1/checkout/sessions/ID",
    "GET /v1/checkout/sessions?starting_after",
    "GET /v1/disputes",
    "GET /v1/disputes?starting_after",
    "GET /v1/payment_intents",
    "GET /v1/payment_intents/ID",
    "GET /v1/payment_intents?starting_after",
    "GET /v1/refunds",
    "GET /v1/refunds?starting_after",
    "POST /v1/checkout/sessions",
    "POST /v1/checkout/sessions/ID/expire",
    "POST /v1/payment_intents/ID/cancel",
    "POST /v1/payment_intents/ID/capture",
    "POST /v1/refunds",
];

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_replies_fit_the_published_description() {
    let Some(mock) = StripeMock::start() else { return };
    let client = mock.client();
    let calls = record_calls().await;
    let endpoints: BTreeSet<String> = calls.iter().map(describe_endpoint).collect();
    assert_eq!(endpoints, BTreeSet::from(ENDPOINTS.map(str::to_owned)));
    for call in calls {
        check_request(&client, rebuild_request(call)).await;
    }
    read_examples(&StripeProvider::new(Arc::new(client))).await;
}

/// stripe-mock. It ends when this is dropped.
struct StripeMock {
    /// Ended before the folder is removed: fields go in this order.
    _running: ProcessGuard,
    _folder: TempDir,
    port: ReservedPort,
}

impl StripeMock {
    fn start() -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            // Not `eprintln!`, whose text a test that passes does not show.
            let _ = writeln!(
                std::io::stderr().lock(),
                "stripe-mock is not there (scripts/setup.sh fetches it where Go is installed): \
                 requests to Stripe were not compared with its published description."
            );
            return None;
        }
        let (folder, port) = (tempfile::tempdir().unwrap(), ReservedPort::reserve());
        let address = format!("127.0.0.1:{}", port.get());
        let mut program = Command::new(PROGRAM);
        // It has a listener for HTTPS in any case: on a port that the system chooses.
        program.args(["-http-addr", &address, "-https-addr", "127.0.0.1:0"]);
        let running = ProcessGuard::start(&program, folder.path(), "KILL");
        eventually_blocking("stripe-mock listens", HANG_LIMIT, || {
            let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            assert!(!running.has_ended(), "stripe-mock has ended: {}", log());
            TcpStream::connect(&address).is_ok()
        });
        Some(Self { _running: running, _folder: folder, port })
    }

    fn client(&self) -> StripeClient {
        let url = format!("http://127.0.0.1:{}", self.port.get());
        build_client(&url, Arc::new(|| START), HANG_LIMIT)
    }
}

/// Lets the provider make each of its calls to a stand-in.
async fn record_calls() -> Vec<ApiCall> {
    let stripe = StripeFixture::start();
    let provider = &stripe.provider;
    assert!(provider.check_key().await);

    let opened = stripe.open(payment(500, "EUR")).await;
    for language in ["en", "de", "ar"].into_iter().cycle().take(PAGE_LEN) {
        let declined =
            ProviderPayment { buyer_email: None, language: Some(language.to_owned()), ..payment(500, "EUR") };
        stripe.submit(declined, BuyerChoice::Decline).await;
    }
    // Its key does not return it, so it is searched for, and is on the second page.
    let renamed = ProviderPayment { reference: None, description: "Lamp".to_owned(), ..opened.clone() };
    assert_eq!(stripe.status(&renamed).await, PaymentStatus::Open);
    let authorised = stripe.submit(payment(500, "EUR"), BuyerChoice::Approve).await;
    for payment in [&opened, &authorised] {
        assert_eq!(provider.void(payment).await.unwrap().status, PaymentStatus::Voided);
    }

    let paid = stripe.captured(payment(10_000, "EUR")).await;
    let intent = stripe.intent(&paid);
    provider.refund(&paid, RefundId(Uuid::new_v4()), money(300, "EUR")).await.unwrap();
    for _ in 0..PAGE_LEN {
        stripe.stand_in.refund_in_dashboard(&intent, 10).unwrap();
    }
    for _ in 0..=PAGE_LEN {
        stripe.stand_in.open_dispute(&intent).unwrap();
    }
    assert_eq!(provider.list_outside_refunds(&paid).await.unwrap().len(), PAGE_LEN);
    assert_eq!(provider.find_disputes(&paid).await.unwrap().len(), PAGE_LEN + 1);
    let captured = provider.list_captured(Timestamp(0), Timestamp(4_000_000_000_000)).await.unwrap();
    assert_eq!(captured.len(), 1);
    assert_eq!(provider.find_payment_of_intent(&intent).await, Ok(Some(paid.intent.0)));
    stripe.stand_in.calls()
}

/// Method and path without ids, and whether it is a later page.
fn describe_endpoint(call: &ApiCall) -> String {
    let is_id = |part: &str| part.starts_with("cs_") || part.starts_with("pi_");
    let path: Vec<_> = call.path.split('/').map(|part| if is_id(part) { "ID" } else { part }).collect();
    let is_later = call.parameters.iter().any(|(name, _)| name == "starting_after");
    format!("{} {}{}", call.method, path.join("/"), if is_later { "?starting_after" } else { "" })
}

fn rebuild_request(call: ApiCall) -> ApiRequest {
    let verb = call.idempotency_key.map_or(ApiVerb::Get, |key| ApiVerb::Post { key });
    // The right shows in errors about rights alone, of which stripe-mock has none.
    ApiRequest { verb, path: call.path, parameters: call.parameters, right: KeyRight::ReadSessions }
}

/// The request is accepted as it is, with what it expands, and refused with one parameter that Stripe does not have.
async fn check_request(client: &StripeClient, request: ApiRequest) {
    let sent = client.send::<Value>(&request).await;
    let reply = sent.unwrap_or_else(|error| panic!("{error}: {request:?}"));
    for (_, path) in request.parameters.iter().filter(|(name, _)| name == "expand[]") {
        let expanded =
            path.split('.').try_fold(&reply, |value, name| value.get(0).unwrap_or(value).get(name));
        assert!(expanded.is_some_and(Value::is_object), "{path} is not expanded: {request:?} {reply}");
    }
    let wrong = request.with("doorbuster", "1");
    let sent = client.send::<Value>(&wrong).await;
    assert!(
        matches!(&sent, Err(ApiError::Refused(refused)) if refused.status == 400),
        "{sent:?} to {wrong:?}"
    );
}

/// Reads the examples of the description as objects.
async fn read_examples(provider: &StripeProvider) {
    // The example of a new session has the id of its intent, which is read with a request of its own.
    let opened = provider.authorise(&payment(4_999, "EUR")).await;
    let AuthorisationResult::ActionNeeded(action) = opened else { panic!("a page should open: {opened:?}") };
    assert!(action.url.starts_with("https://checkout.stripe.com/"), "{}", action.url);
    let opened = ProviderPayment { reference: action.reference, ..payment(4_999, "EUR") };
    assert_eq!(provider.find(&opened).await.unwrap().unwrap().status, PaymentStatus::Open);
    let refunds = provider.list_refunds("pi_1").await.unwrap();
    assert!(refunds.len() == 1 && !refunds[0].is_ours() && !refunds[0].has_failed(), "{refunds:?}");
    let disputes = provider.list_disputes("pi_1").await.unwrap();
    assert!(disputes.len() == 1 && disputes[0].evidence_details.unwrap().due_by.is_some(), "{disputes:?}");
    assert_eq!(provider.list_captured(Timestamp(0), START).await, Ok(Vec::new()), "it is not captured");
    assert_eq!(provider.health(), ProviderHealth::Ok);
}
