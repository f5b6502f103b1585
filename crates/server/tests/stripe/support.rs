//! A provider on a stand-in of its own.

use sale::{BuyerId, Money, OrderId, SaleId, Timestamp};
use server::clock::TimeSource;
use server::payments::stripe::StripeProvider;
use server::payments::stripe::client::{ClientDependencies, ClientTimeouts, StripeClient};
use server::payments::{AuthorisationResult, IntentId, PaymentProvider, PaymentStatus, ProviderPayment};
use server::telemetry::stripe::StripeMetrics;
use server::webhooks::client::load_tls_config;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use test_servers::stripe::{BuyerChoice, StripeStandIn, TEST_KEY};
use uuid::{Builder, Uuid};

pub const START: Timestamp = Timestamp(1_800_000_000_000);

pub struct StripeFixture {
    pub stand_in: StripeStandIn,
    pub provider: StripeProvider,
    clock: Arc<AtomicI64>,
}

impl StripeFixture {
    pub fn start() -> Self {
        // Above what a reply takes on a busy machine, and short enough for those that never come.
        Self::with_timeout(Duration::from_secs(20))
    }

    pub fn with_timeout(attempt: Duration) -> Self {
        let stand_in = StripeStandIn::start();
        let clock = Arc::new(AtomicI64::new(START.0));
        let now = Arc::clone(&clock);
        let now: TimeSource = Arc::new(move || Timestamp(now.load(Ordering::SeqCst)));
        let client = build_client(stand_in.url(), now, attempt);
        Self { stand_in, provider: StripeProvider::new(Arc::new(client)), clock }
    }

    /// Turns the provider's clock by so many milliseconds.
    pub fn shift_clock(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    /// Opens the page of a payment, and returns the payment with its reference.
    pub async fn open(&self, payment: ProviderPayment) -> ProviderPayment {
        match self.provider.authorise(&payment).await {
            AuthorisationResult::ActionNeeded(action) => {
                ProviderPayment { reference: action.reference, ..payment }
            }
            other => panic!("a page should open: {other:?}"),
        }
    }

    /// The same, and the buyer has done this there.
    pub async fn submit(&self, payment: ProviderPayment, choice: BuyerChoice) -> ProviderPayment {
        let payment = self.open(payment).await;
        self.stand_in.act_as_buyer(payment.reference.as_deref().unwrap(), choice).unwrap();
        payment
    }

    /// A payment whose money is captured.
    pub async fn captured(&self, payment: ProviderPayment) -> ProviderPayment {
        let payment = self.submit(payment, BuyerChoice::Approve).await;
        let answer = self.provider.capture(&payment).await.unwrap();
        assert_eq!(answer.status, PaymentStatus::Captured);
        payment
    }

    pub async fn status(&self, payment: &ProviderPayment) -> PaymentStatus {
        self.provider.find(payment).await.unwrap().unwrap().status
    }

    /// The intent of a payment that was submitted.
    pub fn intent(&self, payment: &ProviderPayment) -> String {
        let session = self.stand_in.object(payment.reference.as_deref().unwrap()).unwrap();
        session["payment_intent"].as_str().unwrap().to_owned()
    }
}

/// A client of the API at this address.
pub fn build_client(url: &str, now: TimeSource, attempt: Duration) -> StripeClient {
    StripeClient::new(ClientDependencies {
        origin: url.parse().unwrap(),
        key: TEST_KEY.parse().unwrap(),
        tls: load_tls_config(),
        now,
        chance: Arc::new(|| 0.0),
        timeouts: ClientTimeouts { attempt },
        metrics: StripeMetrics::default(),
    })
}

pub fn money(minor: i64, currency: &str) -> Money {
    Money { minor, currency: currency.parse().unwrap() }
}

/// A payment that begins now, by the machine's clock: the stand-in has that, too.
pub fn payment(minor: i64, currency: &str) -> ProviderPayment {
    payment_begun(0, minor, currency)
}

/// A payment that begins now by a clock that is so many seconds ahead.
pub fn payment_begun(ahead_s: i64, minor: i64, currency: &str) -> ProviderPayment {
    let now_s = read_machine_clock_s().saturating_add_signed(ahead_s);
    let random = Uuid::new_v4().into_bytes();
    let tail: [u8; 10] = random[..10].try_into().unwrap();
    let id = Builder::from_unix_timestamp_millis(now_s * 1_000, &tail).into_uuid();
    ProviderPayment {
        intent: IntentId(id),
        reference: None,
        order: OrderId(Uuid::new_v4()),
        sale: SaleId(Uuid::from_u128(3)),
        buyer: BuyerId(Uuid::from_u128(4)),
        amount: money(minor, currency),
        method: "stripe".to_owned(),
        buyer_email: Some("ada@shop.example".to_owned()),
        description: "2 × Lamp & Söhne".to_owned(),
        language: Some("ar".to_owned()),
        return_url: Some("https://shop.example/pay/return/1".to_owned()),
        cancel_url: Some("https://shop.example/orders/2".to_owned()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the stand-in has the machine's clock")]
fn read_machine_clock_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
