//! Builds the client of Stripe's API from its settings, for `serve`, `worker` and `reconcile`.

use super::random_source;
use super::settings::StripeSettings;
use crate::clock::TimeSource;
use crate::payments::stripe::StripeProvider;
use crate::payments::stripe::client::{ClientDependencies, ClientTimeouts, StripeClient};
use crate::telemetry::stripe::StripeMetrics;
use crate::webhooks::client::load_tls_config;
use std::sync::{Arc, Mutex, PoisonError};

/// A provider that asks Stripe.
pub(super) fn open_stripe(
    settings: StripeSettings,
    now: TimeSource,
    metrics: StripeMetrics,
    timeouts: ClientTimeouts,
) -> Arc<StripeProvider> {
    let StripeSettings { key, origin, .. } = settings;
    let random = Mutex::new(random_source());
    let chance = Arc::new(move || {
        let mut random = random.lock().unwrap_or_else(PoisonError::into_inner);
        (*random)()
    });
    let tls = load_tls_config();
    let client = StripeClient::new(ClientDependencies { origin, key, tls, now, chance, timeouts, metrics });
    Arc::new(StripeProvider::new(Arc::new(client)))
}
