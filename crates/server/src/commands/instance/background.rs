//! What an instance does at intervals beside its requests, until it stops.

use super::followers::LagMeter;
use crate::http::AppState;
use crate::shop::follower_lag::{MEASURE_INTERVAL, UndeliveredPayments, find_undelivered_payments};
use crate::shop::peer_changes::{self, PeerChanges};
use crate::shop::purchase_jobs::JobSettler;
use crate::shop::{Shop, accounts, published_events, purchase_jobs, sales};
use crate::telemetry::valkey::ValkeyMemoryGauges;
use engine::error_text::describe_error;
use engine::valkey_connection::{ConnectionTimeouts, MemoryMonitor, ValkeyAddress, ValkeyMemory};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often purchases of `turnstile` without an answer are looked at.
const SETTLE_INTERVAL: Duration = Duration::from_millis(500);
/// How often the memory of the Valkey is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_secs(5);
/// How long that may take.
const VALKEY_TIMEOUTS: ConnectionTimeouts =
    ConnectionTimeouts { connect: Duration::from_secs(2), response: Duration::from_secs(2) };
/// How often expired sessions are deleted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// Waits for the next turn of a task. False when the instance stops.
pub(super) async fn wait(interval: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(interval) => true,
        _ = stop.wait_for(|stop| *stop) => false,
    }
}

/// Reads what other processes changed.
pub(super) async fn poll_peers(app: AppState, mut peers: PeerChanges, mut stop: watch::Receiver<bool>) {
    while wait(peer_changes::POLL_INTERVAL, &mut stop).await {
        peers.poll(&app.shop).await;
    }
}

/// Settles purchases of `turnstile` that got no answer.
pub(super) async fn settle_jobs(shop: Arc<Shop>, mut stop: watch::Receiver<bool>) {
    let mut settler = JobSettler::default();
    while wait(SETTLE_INTERVAL, &mut stop).await {
        settler.run_round(&shop).await;
    }
}

/// Measures how far the followers are behind.
pub(super) async fn measure_lags(app: AppState, meters: Vec<LagMeter>, mut stop: watch::Receiver<bool>) {
    loop {
        let now = (app.shop.now)();
        for meter in &meters {
            let payments = match meter.receiver {
                Some(receiver) => find_undelivered_payments(&app.shop.store, receiver).await,
                None => UndeliveredPayments::default(),
            };
            meter.lag.measure(app.shop.engine.views(), &meter.progress, payments, now);
        }
        if !wait(MEASURE_INTERVAL, &mut stop).await {
            return;
        }
    }
}

/// Shows how much memory the Valkey uses.
pub(super) async fn measure_valkey(
    address: ValkeyAddress,
    gauges: ValkeyMemoryGauges,
    mut stop: watch::Receiver<bool>,
) {
    let mut monitor = MemoryMonitor::new(address, VALKEY_TIMEOUTS);
    loop {
        // That it does not answer is logged where sales need it.
        let memory = monitor.read().await.unwrap_or(ValkeyMemory { used_bytes: 0, limit_bytes: 0 });
        gauges.set(memory.used_bytes, memory.limit_bytes);
        if !wait(MEMORY_INTERVAL, &mut stop).await {
            return;
        }
    }
}

/// Deletes expired sessions and old jobs, gives back stray units, and finishes sales that an instance left unannounced.
pub(super) async fn sweep_expired(app: AppState, mut stop: watch::Receiver<bool>) {
    while wait(SWEEP_INTERVAL, &mut stop).await {
        if let Err(error) = accounts::forget_expired_sessions(&app.shop.accounts).await {
            tracing::warn!(
                error = describe_error(&error),
                "expired sessions could not be deleted; retrying every ten minutes; check the database"
            );
        }
        if let Err(error) = app.shop.sold_out.forget_old((app.shop.now)()).await {
            tracing::warn!(
                error = describe_error(&error),
                "old sold-out attempts could not be deleted; it is tried again in ten minutes"
            );
        }
        if let Err(error) = purchase_jobs::forget_old_jobs(&app.shop).await {
            tracing::warn!(
                error = describe_error(&error),
                "old jobs of the turnstile could not be deleted; it is tried again in ten minutes"
            );
        }
        if let Err(error) = published_events::forget_old_payments(&app.shop).await {
            tracing::warn!(
                error = describe_error(&error),
                "old steps of payments could not be deleted; it is tried again in ten minutes"
            );
        }
        purchase_jobs::return_stray_units(&app.shop).await;
        // A sale that was unannounced at the start may have been another instance's work in progress.
        if app.shop.tenancy.is_cluster()
            && let Err(error) = sales::finish_unannounced(&app.shop).await
        {
            tracing::warn!(
                error = describe_error(&error),
                "unannounced sales could not be finished; retrying every ten minutes; check the database"
            );
        }
    }
}
