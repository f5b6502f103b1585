//! `rehearse`: plays a whole drop before the day and judges it from outside; see the crate `rehearsal`. Here its settings
//! become a rehearsal, a private instance is started and thrown away, and the report is written.

pub mod clock;

mod settings;

mod archive;
mod connections;

mod written;

pub use settings::Rehearse;

use super::instance::TOKEN_KEY_FILE;
use super::serve::StopSignals;
use super::{CommandError, runtime};
use crate::auth::Role;
use crate::auth::tokens::{self, Tokens};
use anyhow::Context;
use archive::InPostgres;
use rehearsal::archive::Archive;
use rehearsal::live::Live;
use rehearsal::play::{self, Instance, PlayError, Rehearsal, Sign};
use rehearsal::private::{Private, cpu_s};
use rehearsal::report::{Report, Verdict};
use rehearsal::stage::{AdminLogin, Stage, StageError};
use sale::{BuyerId, Timestamp};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use uuid::Uuid;

/// The simulated buyers' tokens are valid for this long: longer than any rehearsal.
const TOKEN_TTL_S: u32 = 86_400;
/// How a private instance differs from one that just starts: it logs what goes wrong only, and no load balancer waits for it.
const PRIVATE_FLAGS: [&str; 6] =
    ["--log", "warn,sqlx=error", "--drain-grace", "1ms", "--drain-timeout", "10s"];
/// Connections that a private instance takes besides those of the crowd.
const OTHER_CONNECTIONS: usize = 100;

/// Runs the command.
///
/// # Errors
/// Usage when a setting is wrong; a failed check when a promise was broken, or it could not be judged; failure when it could
/// not be played.
pub fn run(settings: Rehearse) -> Result<(), CommandError> {
    settings.check()?;
    written::prepare(&settings.report)?;
    let drop = settings.drop()?;
    let (connections, notes) = connections::agree(settings.connections, drop.crowd.people);
    runtime()?.block_on(async {
        let stop = Stop::listen()?;
        let archive = open_archive(&settings).await?;
        let instance = instance(&settings, connections).await?;
        stop.cleans_up(&instance);
        let drop = match (&settings.like, &instance) {
            (Some(slug), Instance::Running { url, admin }) => {
                settings.like_sale(drop, like(url, admin, slug).await?)
            }
            _ => drop,
        };
        let mut rehearsal = Rehearsal {
            tokens: tokens(&settings, &instance)?,
            faults: settings.faults(),
            archive,
            connections,
            though_live: settings.i_know_this_is_live,
            settings: settings.rows(&drop, connections),
            command: settings.command(&drop),
            notes,
            program: format!("doorbuster {}", env!("CARGO_PKG_VERSION")),
            drop,
            instance,
        };
        let mut live = Live::start();
        let played = play::play(&mut rehearsal, stop.is_told(), &mut |progress| live.update(progress)).await;
        let mut report = played.map_err(|error| {
            live.clear();
            told(error)
        })?;
        let is_private = matches!(rehearsal.instance, Instance::Private(_));
        let keep = match &report.verdict {
            Verdict::Kept => false,
            Verdict::Broken { .. } => true,
            Verdict::Unjudged { .. } => !*stop.is_told().borrow(),
        };
        finish(rehearsal.instance, keep, &mut report).await;
        // Its processes have ended, the killed ones too: what they used is known now.
        report.cpu.server_s = cpu_s().filter(|_| is_private).map(|(_, children)| children);
        // What was found is told in any case, also when it cannot be written down.
        let written = written::write(&report, &settings.report);
        live.finish(&report, written.as_deref().unwrap_or_default());
        written?;
        if report.verdict == Verdict::Kept { Ok(()) } else { Err(CommandError::CheckFailed) }
    })
}

/// Ctrl-C and SIGTERM: the first stops the rehearsal and has it report, the second ends it at once.
struct Stop {
    told: watch::Receiver<bool>,
    /// The folder that would be left behind.
    folder: Arc<Mutex<Option<PathBuf>>>,
}

impl Stop {
    fn listen() -> Result<Self, CommandError> {
        let mut signals = StopSignals::new().map_err(anyhow::Error::from)?;
        let (tell, told) = watch::channel(false);
        let folder = Arc::<Mutex<Option<PathBuf>>>::default();
        let leaves = Arc::clone(&folder);
        tokio::spawn(async move {
            signals.wait().await;
            tell.send_replace(true);
            signals.wait().await;
            let folder = leaves.lock().unwrap_or_else(PoisonError::into_inner).take();
            let _as_far_as_it_goes = folder.map(std::fs::remove_dir_all);
            std::process::exit(1);
        });
        Ok(Self { told, folder })
    }

    fn cleans_up(&self, instance: &Instance) {
        if let Instance::Private(private) = instance {
            let folder = private.folder().to_owned();
            self.folder.lock().unwrap_or_else(PoisonError::into_inner).replace(folder);
        }
    }

    fn is_told(&self) -> watch::Receiver<bool> {
        self.told.clone()
    }
}

/// What a setting can mend is told with its flag.
fn told(error: PlayError) -> CommandError {
    let flag = match &error {
        PlayError::Private(_) | PlayError::Stopped => return CommandError::Failed(error.into()),
        PlayError::Stage(StageError::BadLogin { .. } | StageError::NoAdmin { .. }) => "--admin-email",
        PlayError::Limited { .. } => "--buyers",
        PlayError::ForeignKey => "--token-key",
        PlayError::OtherArchive | PlayError::Archive(_) => "--database",
        PlayError::Target(_) | PlayError::Stage(_) | PlayError::Live(_) => "--url",
    };
    CommandError::Usage(format!("{flag}: {:#}", anyhow::Error::from(error)))
}

async fn instance(settings: &Rehearse, connections: usize) -> Result<Instance, CommandError> {
    if let Some(url) = &settings.url {
        return Ok(Instance::Running { url: url.clone(), admin: settings.admin()? });
    }
    let binary = std::env::current_exe().context("this program does not know where it is")?;
    let mut flags: Vec<String> = PRIVATE_FLAGS.iter().map(ToString::to_string).collect();
    flags.extend(["--connections-max".to_owned(), (connections + OTHER_CONNECTIONS).to_string()]);
    let ours = |name: &OsString| name.to_string_lossy().starts_with("DOORBUSTER_");
    let foreign = std::env::vars_os().map(|(name, _)| name).filter(ours).collect();
    let private = Private::start(binary, flags, foreign).await.map_err(anyhow::Error::from)?;
    Ok(Instance::Private(Box::new(private)))
}

/// The database of the running instances, if it is named.
async fn open_archive(settings: &Rehearse) -> Result<Option<Arc<dyn Archive>>, CommandError> {
    match (&settings.url, &settings.database) {
        (Some(_), Some(database)) => Ok(Some(Arc::new(InPostgres::open(database).await?))),
        _ => Ok(None),
    }
}

async fn like(
    url: &str,
    admin: &AdminLogin,
    slug: &str,
) -> Result<rehearsal::crowd::preset::Sale, CommandError> {
    let like = async {
        let target = rehearsal::client::Target::new(url)?;
        Ok::<_, PlayError>(Stage::enter(target, admin).await?.sale_like(slug).await?)
    };
    like.await.map_err(|error| match error {
        PlayError::Stage(StageError::Refused { detail, .. }) => {
            CommandError::Usage(format!("--like: {slug}: {detail}"))
        }
        error => told(error),
    })
}

/// Tokens are signed with the instance's own key where we have it: hashing the passwords of a crowd takes longer than a drop.
fn tokens(settings: &Rehearse, instance: &Instance) -> Result<play::Tokens, CommandError> {
    let key = match (instance, &settings.token_key) {
        (Instance::Private(private), _) => private.data().join(TOKEN_KEY_FILE),
        (Instance::Running { .. }, Some(path)) => path.clone(),
        (Instance::Running { .. }, None) => return Ok(play::Tokens::SignUp),
    };
    Ok(play::Tokens::Signed(sign_with(&key)?))
}

fn sign_with(key: &Path) -> Result<Sign, CommandError> {
    let key = tokens::read_key(key).map_err(|error| CommandError::Usage(format!("--token-key: {error}")))?;
    let tokens = Tokens::new(key, TOKEN_TTL_S, 1);
    let now = super::clock(Timestamp::default(), engine::Skew::default()).now();
    Ok(Box::new(move |buyer: BuyerId| tokens.issue(buyer, Role::Buyer, Uuid::new_v4(), now)))
}

/// Stops a private instance; a folder that shows what went wrong is kept.
async fn finish(instance: Instance, keep: bool, report: &mut Report) {
    let Instance::Private(private) = instance else { return };
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
