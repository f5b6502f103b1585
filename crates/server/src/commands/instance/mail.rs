//! Starts the mails of an instance: settings are checked before anything is opened, and the dispatcher runs where other due work is done.

use super::super::CommandError;
use super::super::settings::{MailSettings, Serve};
use crate::http::AppState;
use crate::shop::mails::dispatcher::{DispatcherSettings, MailDispatcher};
use crate::shop::public_url::PublicUrl;
use crate::telemetry::mails::MailMetrics;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Refuses settings with which no mail could be sent. The address of a demo is that of its listener.
pub(super) fn check_settings(settings: &Serve) -> Result<(), CommandError> {
    settings.mail.warn_of_open_password();
    let public_url = settings.public_url_at(settings.listen);
    settings.mail.settings(public_url.as_ref()).map(|_| ())
}

/// Starts to send mails, if the shop sends any.
pub(super) fn start_dispatcher(
    app: &AppState,
    settings: &Serve,
    stopping: watch::Receiver<bool>,
) -> Result<Option<JoinHandle<()>>, CommandError> {
    let public_url: Option<&PublicUrl> = app.shop.public_url.as_ref();
    let mail = settings.mail.settings(public_url)?;
    let outbox = app.shop.accounts.mails.clone();
    let (Some(mail), Some(outbox), Some(public_url)) = (mail, outbox, public_url) else { return Ok(None) };
    let MailSettings { relay, templates, shop, rate } = mail;
    let metrics = MailMetrics::default();
    metrics.register(&app.metrics);
    let tenancy = app.shop.tenancy;
    let (engine, catalogue) = (app.shop.engine.clone(), Arc::clone(&app.shop.catalogue));
    let settings = DispatcherSettings {
        relay,
        templates,
        shop,
        public_url: public_url.clone(),
        rate,
        tenancy,
        metrics,
        engine,
        catalogue,
    };
    let store = app.shop.store.clone();
    let dispatcher = MailDispatcher::new(store, Arc::clone(&app.shop.now), outbox, settings);
    Ok(Some(tokio::spawn(dispatcher.run(stopping))))
}
