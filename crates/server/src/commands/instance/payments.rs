//! Starts what belongs to the payment provider: its settings are checked before anything is opened, its health is watched, and its webhooks
//! are handled.

use super::super::CommandError;
use super::super::settings::Serve;
use crate::http::AppState;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Refuses settings with which no payment could be taken. The address of a demo is that of its listener.
pub(super) fn check_settings(settings: &Serve) -> Result<(), CommandError> {
    let public_url = settings.public_url_at(settings.listen);
    settings.payments.stripe_settings(public_url.as_ref(), |name| std::env::var(name).ok()).map(|_| ())
}

/// Watches the provider and handles its webhooks, where it sends any: each instance those that it received, and what others left.
pub(super) fn start_notices(app: &AppState, stopping: &watch::Receiver<bool>) -> Option<JoinHandle<()>> {
    let notices = app.shop.notices.as_ref().map(Arc::clone)?;
    let stopping = stopping.clone();
    Some(tokio::spawn(async move {
        // A key without a right is logged and shows in /health; it does not keep the shop from starting.
        tokio::join!(notices.watch_provider(stopping.clone()), Arc::clone(&notices).run(stopping));
    }))
}
