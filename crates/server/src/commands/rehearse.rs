//! `rehearse`: runs a whole drop before the day and judges it from outside; see the crate `rehearsal`. This module turns the
//! settings into a rehearsal, starts and removes a private instance, and writes the report.

pub mod clock;

mod settings;

mod connections;
mod evidence;

mod report_files;

pub use settings::RehearseSettings;

use super::instance::TOKEN_KEY_FILE;
use super::serve::StopSignals;
use super::{CommandError, runtime};
use crate::auth::Role;
use crate::auth::tokens::{self, AccessTokens};
use anyhow::Context;
use evidence::PostgresEvidence;
use rehearsal::context::WatchMode;
use rehearsal::dialects::DialectError;
use rehearsal::evidence::EvidenceStore;
use rehearsal::live::LiveView;
use rehearsal::merchant::{AdminLogin, MerchantClient, MerchantError};
use rehearsal::private_instance::{PrivateInstance, read_cpu_seconds};
use rehearsal::report::{RehearsalReport, RehearsalVerdict};
use rehearsal::run::{self, RehearsalError, RehearsalSetup, TargetInstance, TokenSigner};
use sale::{BuyerId, Timestamp};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use uuid::Uuid;

/// The simulated buyers' tokens are valid for this long: longer than any rehearsal.
const TOKEN_TTL_S: u32 = 86_400;
/// Flags of a private instance: it logs only warnings and errors, waits for no load balancer when it drains, and believes a clock that a
/// fault has turned.
const PRIVATE_FLAGS: [&str; 7] =
    ["--log", "warn,sqlx=error", "--drain-grace", "1ms", "--drain-timeout", "10s", "--accept-clock"];
/// Limits of a private instance's dialects: twenty people act for one account of a bot, and none of them should wait for a minute.
const DIALECT_LIMITS: [&str; 4] = ["--limit-turnstile", "20/1s", "--limit-drop", "200/1m"];
/// A private instance sends events to a receiver on this machine.
const EVENT_FLAGS: [&str; 5] = [
    "--public-url",
    "http://rehearsal.invalid",
    "--webhooks-allow-http",
    "--webhooks-allow-private",
    "127.0.0.0/8",
];
/// Connections that a private instance takes besides those of the crowd.
const OTHER_CONNECTIONS: usize = 100;

/// Runs the command.
///
/// # Errors
/// Usage when a setting is wrong; a failed check when a promise was broken, or could not be judged; failure when the rehearsal
/// could not run.
pub fn run(settings: RehearseSettings) -> Result<(), CommandError> {
    settings.check()?;
    report_files::prepare_folder(&settings.report)?;
    let drop = settings.plan_drop()?;
    let (connections, mut notes) = connections::choose_connections(settings.connections, drop.crowd.people);
    let (sockets, note) = match settings.watch_mode() {
        WatchMode::Socket => connections::choose_sockets(drop.crowd.people, connections),
        WatchMode::Poll | WatchMode::Feed => (0, None),
    };
    notes.extend(note);
    runtime()?.block_on(async {
        let stop = StopRequest::listen()?;
        let evidence_store = open_evidence_store(&settings).await?;
        let instance = open_instance(&settings, connections, sockets).await?;
        stop.remove_on_exit(&instance);
        let drop = match (&settings.like, &instance) {
            (Some(slug), TargetInstance::Running { url, admin }) => {
                settings.with_sale_plan(drop, load_sale_plan(url, admin, slug).await?)
            }
            _ => drop,
        };
        let mut rehearsal = RehearsalSetup {
            dialect: settings.dialect_plan(),
            tokens: token_source(&settings, &instance)?,
            faults: settings.fault_plan(),
            evidence_store,
            collects_events: settings.events,
            connections,
            watch: settings.watch_mode(),
            sockets,
            allow_live_sale: settings.i_know_this_is_live,
            settings: settings.setting_rows(&drop, connections),
            command: settings.repeat_command(&drop),
            notes,
            program: format!("doorbuster {}", env!("CARGO_PKG_VERSION")),
            plan: drop,
            instance,
        };
        let mut live = LiveView::start();
        let result =
            run::run_rehearsal(&mut rehearsal, stop.subscribe(), &mut |progress| live.update(progress)).await;
        let mut report = result.map_err(|error| {
            live.clear();
            name_flag(error)
        })?;
        let is_private = matches!(rehearsal.instance, TargetInstance::Private(_));
        let keep = match &report.verdict {
            RehearsalVerdict::Kept => false,
            RehearsalVerdict::Broken { .. } => true,
            RehearsalVerdict::Unjudged { .. } => !*stop.subscribe().borrow(),
        };
        stop_instance(rehearsal.instance, keep, &mut report).await;
        // All its processes have ended, so their CPU time is known now.
        report.cpu.server_s = read_cpu_seconds().filter(|_| is_private).map(|(_, children)| children);
        // The terminal shows the findings even if the report cannot be written.
        let written = report_files::write_report(&report, &settings.report);
        live.finish(&report, written.as_deref().unwrap_or_default());
        written?;
        if report.verdict == RehearsalVerdict::Kept { Ok(()) } else { Err(CommandError::CheckFailed) }
    })
}

/// Ctrl-C and SIGTERM: the first stops the rehearsal, which then reports; the second ends it at once.
struct StopRequest {
    stopped: watch::Receiver<bool>,
    /// The folder of the private instance, removed on the second signal.
    folder: Arc<Mutex<Option<PathBuf>>>,
}

impl StopRequest {
    fn listen() -> Result<Self, CommandError> {
        let mut signals = StopSignals::new().map_err(anyhow::Error::from)?;
        let (stop, stopped) = watch::channel(false);
        let folder = Arc::<Mutex<Option<PathBuf>>>::default();
        let to_remove = Arc::clone(&folder);
        tokio::spawn(async move {
            signals.wait().await;
            stop.send_replace(true);
            signals.wait().await;
            let folder = to_remove.lock().unwrap_or_else(PoisonError::into_inner).take();
            let _best_effort = folder.map(std::fs::remove_dir_all);
            std::process::exit(1);
        });
        Ok(Self { stopped, folder })
    }

    fn remove_on_exit(&self, instance: &TargetInstance) {
        if let TargetInstance::Private(private) = instance {
            let folder = private.folder().to_owned();
            self.folder.lock().unwrap_or_else(PoisonError::into_inner).replace(folder);
        }
    }

    fn subscribe(&self) -> watch::Receiver<bool> {
        self.stopped.clone()
    }
}

/// Names the flag that can correct an error.
fn name_flag(error: RehearsalError) -> CommandError {
    let flag = match &error {
        RehearsalError::Private(_) | RehearsalError::Collector(_) | RehearsalError::Stopped => {
            return CommandError::Failed(error.into());
        }
        RehearsalError::EventsRefused { .. } => "--events",
        RehearsalError::Merchant(MerchantError::BadLogin { .. } | MerchantError::NotAdmin { .. }) => {
            "--admin-email"
        }
        RehearsalError::SignUpLimited { .. } => "--buyers",
        RehearsalError::ForeignTokenKey => "--token-key",
        RehearsalError::Dialect(DialectError::Stopped) => return CommandError::Failed(error.into()),
        RehearsalError::Dialect(DialectError::SignUpLimited) => "--buyers",
        RehearsalError::Dialect(_) => "--dialect-url",
        RehearsalError::ForeignDatabase | RehearsalError::Database(_) => "--database",
        RehearsalError::Target(_) | RehearsalError::Merchant(_) | RehearsalError::LiveSale(_) => "--url",
    };
    CommandError::Usage(format!("{flag}: {:#}", anyhow::Error::from(error)))
}

async fn open_instance(
    settings: &RehearseSettings,
    connections: usize,
    sockets: usize,
) -> Result<TargetInstance, CommandError> {
    if let Some(url) = &settings.url {
        return Ok(TargetInstance::Running { url: url.clone(), admin: settings.admin()? });
    }
    let binary = std::env::current_exe().context("this program does not know where it is")?;
    let mut flags: Vec<String> = PRIVATE_FLAGS.iter().map(ToString::to_string).collect();
    // Twice those of the crowd, which is as busy as it can be: that is no reason to refuse some of it before others.
    let connections_max = (2 * connections + sockets + OTHER_CONNECTIONS).to_string();
    // All buyers of a rehearsal come from one address.
    for flag in ["--connections-max", "--connections-per-address"] {
        flags.extend([flag.to_owned(), connections_max.clone()]);
    }
    if sockets > 0 {
        let sockets_max = sockets.to_string();
        for flag in ["--sockets-max", "--sockets-per-address"] {
            flags.extend([flag.to_owned(), sockets_max.clone()]);
        }
    }
    if let Some(dialect) = settings.dialect {
        let name = dialect.rehearsed().name().to_owned();
        flags.extend(["--dialects".to_owned(), name, "--dialect-admin".to_owned(), "open".to_owned()]);
        flags.extend(DIALECT_LIMITS.map(ToOwned::to_owned));
    }
    if settings.events {
        flags.extend(EVENT_FLAGS.map(ToOwned::to_owned));
    }
    let ours = |name: &OsString| name.to_string_lossy().starts_with("DOORBUSTER_");
    let foreign = std::env::vars_os().map(|(name, _)| name).filter(ours).collect();
    let private = PrivateInstance::start(binary, flags, foreign).await.map_err(anyhow::Error::from)?;
    Ok(TargetInstance::Private(Box::new(private)))
}

/// The database of the running instances, if a flag names it.
async fn open_evidence_store(
    settings: &RehearseSettings,
) -> Result<Option<Arc<dyn EvidenceStore>>, CommandError> {
    match (&settings.url, &settings.database) {
        (Some(_), Some(database)) => Ok(Some(Arc::new(PostgresEvidence::open(database).await?))),
        _ => Ok(None),
    }
}

async fn load_sale_plan(
    url: &str,
    admin: &AdminLogin,
    slug: &str,
) -> Result<rehearsal::crowd::preset::SalePlan, CommandError> {
    let like = async {
        let target = rehearsal::client::Target::new(url)?;
        Ok::<_, RehearsalError>(MerchantClient::sign_in(target, admin).await?.load_sale_plan(slug).await?)
    };
    like.await.map_err(|error| match error {
        RehearsalError::Merchant(MerchantError::Refused { detail, .. }) => {
            CommandError::Usage(format!("--like: {slug}: {detail}"))
        }
        error => name_flag(error),
    })
}

/// Signs tokens with the instance's own key where it is at hand: hashing the passwords of a crowd takes longer than a drop.
fn token_source(
    settings: &RehearseSettings,
    instance: &TargetInstance,
) -> Result<run::TokenSource, CommandError> {
    let key = match (instance, &settings.token_key) {
        (TargetInstance::Private(private), _) => private.data_path().join(TOKEN_KEY_FILE),
        (TargetInstance::Running { .. }, Some(path)) => path.clone(),
        (TargetInstance::Running { .. }, None) => return Ok(run::TokenSource::SignUp),
    };
    Ok(run::TokenSource::Signed(load_signer(&key)?))
}

fn load_signer(key: &Path) -> Result<TokenSigner, CommandError> {
    let key = tokens::read_key(key).map_err(|error| CommandError::Usage(format!("--token-key: {error}")))?;
    let tokens = AccessTokens::new(key, TOKEN_TTL_S, 1);
    let now = super::start_clock(Timestamp::default(), engine::ClockSkew::default()).now();
    Ok(Box::new(move |buyer: BuyerId| tokens.issue(buyer, Role::Buyer, Uuid::new_v4(), now)))
}

/// Stops a private instance; its folder is kept as evidence of a failure.
async fn stop_instance(instance: TargetInstance, keep: bool, report: &mut RehearsalReport) {
    let TargetInstance::Private(private) = instance else { return };
    match private.stop(keep).await {
        Ok(Some(folder)) => report.notes.push(format!(
            "The instance's ledger, tables and log are kept in {} (doorbuster verify --data {}/data).",
            folder.display(),
            folder.display()
        )),
        Ok(None) => {}
        Err(error) => report.notes.push(format!("{:#}", anyhow::Error::from(error))),
    }
}
