//! `worker`: an instance of a cluster without an API. It does what is due by itself: expired holds and admissions, the tables,
//! payments left open, and what a killed instance left unrecorded. It answers only probes.

use super::database::DatabaseUrl;
use super::instance::{InstanceKind, ServerInstance};
use super::rehearse;
use super::serve::run_until_stopped;
use super::settings::{
    KafkaArguments, MailArguments, OnOff, PaymentArguments, Serve, WebhookArguments, duration, event_source,
};
use super::valkey::ValkeyUrl;
use super::{CommandError, print_line, runtime};
use crate::shop::public_url::PublicUrl;
use engine::ClockSkew;
use engine::clock::Clock;
use sale::Timestamp;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a worker.
#[derive(Debug, clap::Args)]
pub struct WorkerArgs {
    /// Address of /metrics, /livez and /readyz; keep it private.
    #[arg(long, env = "DOORBUSTER_METRICS_LISTEN", default_value = "127.0.0.1:9464", value_name = "ADDRESS")]
    metrics_listen: SocketAddr,
    /// PostgreSQL for the ledger and the tables. Give it by its variable if there is a password in it.
    #[arg(long, env = "DOORBUSTER_DATABASE", hide_env_values = true, value_name = "URL")]
    database: DatabaseUrl,
    /// Valkey or Redis that all instances share. Give it by its variable if there is a password in it.
    #[arg(long, env = "DOORBUSTER_VALKEY", hide_env_values = true, value_name = "URL")]
    valkey: ValkeyUrl,
    /// Folder for a token key that no --token-key names.
    #[arg(long, env = "DOORBUSTER_DATA", default_value = "./data", value_name = "FOLDER")]
    data: PathBuf,
    /// Address at which buyers reach the shop, such as `https://shop.example`: for links in what is sent to them.
    #[arg(long, env = "DOORBUSTER_PUBLIC_URL", value_name = "URL")]
    public_url: Option<PublicUrl>,
    #[command(flatten)]
    webhooks: WebhookArguments,
    #[command(flatten)]
    mail: MailArguments,
    #[command(flatten)]
    payments: PaymentArguments,
    /// Source of the events that other systems read, a URI; by default --public-url, or `urn:doorbuster` without one.
    #[arg(long, env = "DOORBUSTER_EVENTS_SOURCE", value_parser = event_source, value_name = "URI")]
    events_source: Option<String>,
    #[command(flatten)]
    kafka: KafkaArguments,
    /// Ed25519 key (PKCS#8 PEM) that signs access tokens: the same as that of the other instances.
    #[arg(long, env = "DOORBUSTER_TOKEN_KEY", value_name = "FILE")]
    token_key: Option<PathBuf>,
    /// Time that payments under way get to finish after SIGTERM.
    #[arg(long, env = "DOORBUSTER_DRAIN_TIMEOUT", default_value = "25s", value_parser = duration, value_name = "TIME")]
    drain_timeout: Duration,
    /// Starts although the tables show events that the ledger does not have, after an intended restore of an older ledger.
    #[arg(long, env = "DOORBUSTER_ACCEPT_OLDER_LEDGER", value_parser = clap::builder::BoolishValueParser::new())]
    accept_older_ledger: bool,
    /// Whether the tables are brought up to date first.
    #[arg(long, env = "DOORBUSTER_MIGRATE", value_enum, default_value = "on")]
    migrate: OnOff,
}

/// Runs the command.
///
/// # Errors
/// Usage when a setting is wrong, failure when something cannot start.
pub fn run(
    worker: &WorkerArgs,
    clock: impl FnOnce(Timestamp, ClockSkew) -> Arc<dyn Clock>,
) -> Result<(), CommandError> {
    let settings = worker.settings()?;
    runtime()?.block_on(run_until_stopped(Duration::ZERO, async {
        let clock_offset = rehearse::clock::clock_error(settings.rehearsal_clock.clone());
        let instance = ServerInstance::start_as(InstanceKind::Worker, settings, clock_offset, clock).await?;
        print_line(&format!("This worker's metrics are at http://{}/metrics.", instance.metrics_address));
        Ok(instance)
    }))
}

impl WorkerArgs {
    /// The same as settings of an instance.
    fn settings(&self) -> Result<Serve, CommandError> {
        let defaults = Serve::from_flags([]).map_err(|error| CommandError::Usage(error.to_string()))?;
        Ok(Serve {
            metrics_listen: self.metrics_listen,
            database: Some(self.database.clone()),
            valkey: Some(self.valkey.clone()),
            data: self.data.clone(),
            public_url: self.public_url.clone(),
            webhooks: self.webhooks.clone(),
            mail: self.mail.clone(),
            payments: self.payments.clone(),
            events_source: self.events_source.clone(),
            kafka: self.kafka.clone(),
            token_key: self.token_key.clone(),
            drain_timeout: self.drain_timeout,
            accept_older_ledger: self.accept_older_ledger,
            migrate: self.migrate,
            ..defaults
        })
    }
}
