//! Starts what writes and sends webhooks: a follower, once there is an endpoint, and the sender.

use super::super::{CommandError, random_source};
use super::background::{measure_lags, wait};
use super::followers::{FollowerStarter, start_receiver};
use crate::followers::webhooks::DeliveryWriter;
use crate::http::AppState;
use crate::shop::Shop;
use crate::shop::webhooks::endpoints;
use crate::shop::webhooks::sender::{SenderDependencies, run_sender};
use crate::telemetry::webhooks::WebhookMetrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often a process without the follower looks for an endpoint. The follower then writes what has happened since.
const ENDPOINTS_INTERVAL: Duration = Duration::from_secs(1);

/// Refuses a start without `--public-url` where there are endpoints: events name it.
pub(super) async fn require_public_url(shop: &Shop) -> Result<(), CommandError> {
    if shop.public_url.is_some() || !endpoints::have_any(shop).await.map_err(anyhow::Error::from)? {
        return Ok(());
    }
    let sentence = "--public-url: the shop has webhook endpoints, whose events name its address; give it, such as \
                    https://shop.example, or delete the endpoints";
    Err(CommandError::Usage(sentence.to_owned()))
}

/// Starts the follower of this process as soon as there is an endpoint. A shop without one follows nothing.
pub(super) fn start_follower(
    app: &AppState,
    starter: FollowerStarter,
    stopping: &watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(follow_events(Arc::clone(app), starter, stopping.clone()))
}

async fn follow_events(app: AppState, mut starter: FollowerStarter, mut stopping: watch::Receiver<bool>) {
    // When the tables do not answer, it looks again; the sender logs it.
    while !matches!(endpoints::have_any(&app.shop).await, Ok(true)) {
        if !wait(ENDPOINTS_INTERVAL, &mut stopping).await {
            return;
        }
    }
    let webhooks = &app.shop.webhooks;
    let receiver = DeliveryWriter { now: Arc::clone(&app.shop.now), wake: Arc::clone(&webhooks.wake) };
    let Ok(thread) = start_receiver(&mut starter, &app.shop, receiver, true) else {
        tracing::error!(
            "the follower of webhooks cannot start, because the system gives no thread; no event is sent; start this process again"
        );
        return;
    };
    let measuring = tokio::spawn(measure_lags(Arc::clone(&app), starter.meters, stopping.clone()));
    drop(stopping.wait_for(|is_stopping| *is_stopping).await);
    let stopped = tokio::task::spawn_blocking(move || thread.stop());
    let _ = tokio::join!(stopped, measuring);
}

/// Starts the sender of this process.
pub(super) fn start_sender(app: &AppState, stopping: &watch::Receiver<bool>) -> JoinHandle<()> {
    let metrics = WebhookMetrics::default();
    metrics.register(&app.metrics);
    let dependencies = SenderDependencies {
        store: app.shop.store.clone(),
        client: Arc::clone(&app.shop.webhooks.client),
        now: Arc::clone(&app.shop.now),
        wall_clock: Arc::clone(&app.shop.wall_clock),
        wake: Arc::clone(&app.shop.webhooks.wake),
        metrics,
        random: random_source(),
    };
    tokio::spawn(run_sender(dependencies, stopping.clone()))
}
