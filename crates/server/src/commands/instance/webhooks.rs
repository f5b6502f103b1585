//! Starts what sends webhooks.

use super::super::{CommandError, random_source};
use crate::http::AppState;
use crate::shop::Shop;
use crate::shop::webhooks::endpoints;
use crate::shop::webhooks::sender::{SenderDependencies, run_sender};
use crate::telemetry::webhooks::WebhookMetrics;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Refuses a start without `--public-url` where there are endpoints: events name it.
pub(super) async fn require_public_url(shop: &Shop) -> Result<(), CommandError> {
    if shop.webhooks.source.is_some() || endpoints::list(shop).await.map_err(anyhow::Error::from)?.is_empty()
    {
        return Ok(());
    }
    let sentence = "--public-url: the shop has webhook endpoints, whose events name its address; give it, such as \
                    https://shop.example, or delete the endpoints";
    Err(CommandError::Usage(sentence.to_owned()))
}

/// Starts the sender of this process.
pub(super) fn start_sender(app: &AppState, stopping: &watch::Receiver<bool>) -> JoinHandle<()> {
    let metrics = WebhookMetrics::default();
    metrics.register(&app.metrics);
    let dependencies = SenderDependencies {
        store: app.shop.store.clone(),
        client: Arc::clone(&app.shop.webhooks.client),
        now: Arc::clone(&app.shop.now),
        wake: Arc::clone(&app.shop.webhooks.wake),
        metrics,
        random: random_source(),
    };
    tokio::spawn(run_sender(dependencies, stopping.clone()))
}
