//! A stand-in for Stripe's API on a port of this machine, written from the published description of 2026-09-30: Checkout sessions, intents with
//! manual capture, refunds, disputes, idempotency, errors in Stripe's shape, and signed webhooks. It refuses what Stripe refuses, and
//! fails as a test wants: replies get lost, webhooks come twice or in another order, requests get 429 or 500, or no reply at all. A page
//! lets a buyer approve, decline or go back.
//!
//! What it has is in memory, and with a file also there, so that a process that was killed goes on as Stripe would. It never calls anything
//! but the address of webhooks that it was given.

pub mod faults;
pub mod model;

mod api;
mod control;
mod http;
mod objects;
mod page;
mod parameters;
mod webhooks;

use faults::{FaultKind, FaultRules};
use model::StripeModel;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use webhooks::WebhookQueue;

pub use model::BuyerChoice;
pub use webhooks::{WebhookMode, sign};

/// The version of the API that the stand-in has.
pub const API_VERSION: &str = "2026-09-30.endive";

/// A restricted key that the stand-in accepts.
pub const TEST_KEY: &str = "rk_test_standin0000000000";

/// The secret of the webhook endpoint.
pub const TEST_WEBHOOK_SECRET: &str = "whsec_standin0000000000";

/// A request to the API, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiCall {
    pub method: String,
    /// Without its query.
    pub path: String,
    pub idempotency_key: Option<String>,
    /// Of the body of a POST or the query of a GET.
    pub parameters: Vec<(String, String)>,
    /// 0 for a request without a reply.
    pub status: u16,
}

pub(crate) struct StandInState {
    pub(crate) model: Mutex<StripeModel>,
    pub(crate) faults: Mutex<FaultRules>,
    pub(crate) webhooks: WebhookQueue,
    pub(crate) calls: Mutex<Vec<ApiCall>>,
    /// Where the model is kept, if a restart of the process is to find it again.
    pub(crate) file: Option<PathBuf>,
    pub(crate) url: String,
}

/// A running stand-in. Its connections are closed when it is dropped or killed.
pub struct StripeStandIn {
    state: Arc<StandInState>,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl StripeStandIn {
    /// Starts a stand-in on a free port.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None)
    }

    /// Starts a stand-in here, with what it had when it was killed if the file has that.
    #[must_use]
    pub fn start_on(address: SocketAddr, file: Option<PathBuf>) -> Self {
        let listener = std::net::TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let model = file.as_deref().map(StripeModel::load).unwrap_or_default();
        let state = Arc::new(StandInState {
            model: Mutex::new(model),
            faults: Mutex::default(),
            webhooks: WebhookQueue::default(),
            calls: Mutex::default(),
            file,
            url: format!("http://{address}"),
        });
        let runtime = serve(listener, &state);
        Self { state, address, runtime: Some(runtime) }
    }

    /// Ends all connections and refuses new ones. What was done stays done.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Starts again on the same port, with everything it had.
    pub fn restart(&mut self) {
        self.kill();
        // The port may be in use for a moment: by a connection that was accepted and is being closed.
        let listener = loop {
            match std::net::TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        self.runtime = Some(serve(listener, &self.state));
    }

    /// What `--stripe-api` gets.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.state.url
    }

    /// Sends webhooks to this address from now on.
    pub fn send_webhooks_to(&self, url: &str) {
        self.state.webhooks.set_targets(vec![url.to_owned()]);
    }

    pub fn set_webhook_mode(&self, mode: WebhookMode) {
        self.state.webhooks.set_mode(mode);
    }

    /// Sends the webhooks that were held back, in the reverse of the order in which they happened if `reversed`.
    pub fn release_webhooks(&self, reversed: bool) {
        self.state.webhooks.release(reversed);
    }

    /// The webhooks that are held back or could not be delivered.
    #[must_use]
    pub fn count_held_webhooks(&self) -> usize {
        self.state.webhooks.count_held()
    }

    /// Lets the next `count` requests fail whose method and path, such as `POST /v1/refunds`, contain `path`.
    pub fn fail_next(&self, path: &str, count: u32, kind: FaultKind) {
        lock(&self.state.faults).add(path, count, kind);
    }

    /// How many requests are still to fail: one that is delayed has come when it does not count any more.
    #[must_use]
    pub fn count_faults_left(&self) -> u32 {
        lock(&self.state.faults).count_left()
    }

    /// All requests succeed again.
    pub fn heal(&self) {
        *lock(&self.state.faults) = FaultRules::default();
    }

    /// The key is not known any more, or known again.
    pub fn revoke_key(&self, is_revoked: bool) {
        lock(&self.state.model).is_key_revoked = is_revoked;
    }

    /// The key has all rights but these, such as `charge_write`.
    pub fn remove_rights(&self, rights: &[&str]) {
        lock(&self.state.model).missing_rights = rights.iter().map(|&right| right.to_owned()).collect();
    }

    /// What a buyer does on the page of a session.
    ///
    /// # Errors
    /// The message of the page, when the session is not open.
    pub fn act_as_buyer(&self, session: &str, choice: BuyerChoice) -> Result<(), String> {
        self.change(|model| model.act_as_buyer(session, choice))
    }

    /// A payment that the bank has not answered comes to its end.
    pub fn finish_processing(&self, session: &str, is_accepted: bool) -> Result<(), String> {
        self.change(|model| model.finish_processing(session, is_accepted))
    }

    /// Somebody refunds a captured payment in the dashboard.
    pub fn refund_in_dashboard(&self, intent: &str, amount: i64) -> Result<String, String> {
        self.change(|model| model.refund_in_dashboard(intent, amount))
    }

    /// Somebody captures authorised money in the dashboard.
    pub fn capture_in_dashboard(&self, intent: &str) -> Result<(), String> {
        self.change(|model| {
            let captured = model.capture_intent(intent, &parameters::Parameters::new());
            captured.map(drop).map_err(|failure| failure.body().to_string())
        })
    }

    /// Somebody lets go of authorised money in the dashboard.
    pub fn cancel_in_dashboard(&self, intent: &str) -> Result<(), String> {
        self.change(|model| {
            let cancelled = model.cancel_intent(intent);
            cancelled.map(drop).map_err(|failure| failure.body().to_string())
        })
    }

    /// The refunds of an intent, in no order.
    #[must_use]
    pub fn list_refunds(&self, intent: &str) -> Vec<String> {
        lock(&self.state.model).list_refunds(intent)
    }

    /// A refund comes back from the bank: the money stays with the merchant.
    pub fn fail_refund(&self, refund: &str) -> Result<(), String> {
        self.change(|model| model.fail_refund(refund))
    }

    /// A buyer complains at the bank; the id of the dispute.
    pub fn open_dispute(&self, intent: &str) -> Result<String, String> {
        self.change(|model| model.open_dispute(intent))
    }

    pub fn close_dispute(&self, dispute: &str, is_won: bool) -> Result<(), String> {
        self.change(|model| model.close_dispute(dispute, is_won))
    }

    /// An event of something that this program did not make.
    pub fn send_foreign_event(&self) {
        let customer = serde_json::json!({"object": "customer", "id": "cus_1", "metadata": {}});
        self.state.change(|model| model.emit("customer.created", &customer));
    }

    /// The session of a payment of ours, by our id.
    #[must_use]
    pub fn find_session(&self, payment: &str) -> Option<String> {
        lock(&self.state.model).find_session(payment)
    }

    /// A session, intent, charge, refund or dispute, by its id.
    #[must_use]
    pub fn object(&self, id: &str) -> Option<serde_json::Value> {
        lock(&self.state.model).object(id)
    }

    /// All money that was captured, less what was refunded and what lost disputes took, by currency in small letters.
    #[must_use]
    pub fn money_kept(&self, currency: &str) -> i64 {
        lock(&self.state.model).money_kept(currency)
    }

    /// All requests to the API so far.
    #[must_use]
    pub fn calls(&self) -> Vec<ApiCall> {
        lock(&self.state.calls).clone()
    }

    fn change<T>(&self, change: impl FnOnce(&mut StripeModel) -> Result<T, String>) -> Result<T, String> {
        self.state.change(change)
    }
}

impl StandInState {
    /// Changes the model, keeps it in its file, and sends the events of the change.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut StripeModel) -> T) -> T {
        let mut model = lock(&self.model);
        let changed = change(&mut model);
        if let Some(file) = &self.file {
            model.save(file);
        }
        let events = model.take_events();
        drop(model);
        self.webhooks.add(events);
        changed
    }
}

impl Drop for StripeStandIn {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(listener: std::net::TcpListener, state: &Arc<StandInState>) -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    listener.set_nonblocking(true).unwrap();
    let accepting = Arc::clone(state);
    runtime.spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(http::serve_connection(stream, Arc::clone(&accepting)));
        }
    });
    runtime.spawn(webhooks::deliver(Arc::clone(state)));
    runtime
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970, UTC, by the machine's clock.
pub(crate) fn now_s() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec
}
