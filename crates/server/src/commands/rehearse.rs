//! `rehearse`: plays a whole drop before the day and judges it from outside; see the crate `rehearsal`. Here its settings
//! become a rehearsal, a private instance is started and thrown away, and the report is written.

pub mod clock;

mod settings;

mod connections;

mod written;

pub use settings::Rehearse;

use super::instance::TOKEN_KEY_FILE;
use super::serve::StopSignals;
use super::{CommandError, runtime, say_error};
use crate::auth::Role;
use crate::auth::tokens::{self, Tokens};
use anyhow::Context;
use rehearsal::live::Live;
use rehearsal::play::{self, Instance, PlayError, Rehearsal, Sign};
use rehearsal::private::{Private, cpu_s};
use rehearsal::report::{Report, Verdict};
use rehearsal::stage::{AdminLogin, Stage};
use sale::{BuyerId, Timestamp};
use std::ffi::OsString;
use std::path::Path;
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
    let drop = settings.drop()?;
    let (connections, notes) = connections::agree(settings.connections, drop.crowd.people);
    runtime()?.block_on(async {
        let instance = instance(&settings, connections).await?;
        let drop = match (&settings.like, &instance) {
            (Some(slug), Instance::Running { url, admin }) => {
                settings.like_sale(drop, like(url, admin, slug).await?)
            }
            _ => drop,
        };
        let mut rehearsal = Rehearsal {
            tokens: tokens(&settings, &instance)?,
            faults: settings.faults(),
            connections,
            though_live: settings.i_know_this_is_live,
            settings: settings.told(&drop, connections),
            command: settings.command(&drop),
            notes,
            program: format!("doorbuster {}", env!("CARGO_PKG_VERSION")),
            drop,
            instance,
        };
        let (mut report, live) = play(&mut rehearsal).await?;
        let is_private = matches!(rehearsal.instance, Instance::Private(_));
        finish(rehearsal.instance, &mut report).await;
        // Its processes have ended, the killed ones too: what they used is known now.
        report.cpu.server_s = cpu_s().filter(|_| is_private).map(|(_, children)| children);
        let paths = written::write(&report, &settings.report)?;
        live.finish(&report, &paths);
        if report.verdict == Verdict::Kept { Ok(()) } else { Err(CommandError::CheckFailed) }
    })
}

async fn play(rehearsal: &mut Rehearsal) -> Result<(Report, Live), CommandError> {
    let mut signals = StopSignals::new().map_err(anyhow::Error::from)?;
    let (cut, is_cut) = watch::channel(false);
    let watching = tokio::spawn(async move {
        signals.wait().await;
        cut.send_replace(true);
        signals.wait().await;
        // Told twice: not even the evidence is wanted.
        std::process::exit(1);
    });
    let mut live = Live::start();
    let report = play::play(rehearsal, is_cut, &mut |progress| live.update(progress)).await;
    watching.abort();
    match report {
        Ok(report) => Ok((report, live)),
        Err(error) => {
            live.clear();
            Err(told(error))
        }
    }
}

fn told(error: PlayError) -> CommandError {
    let text = format!("{:#}", anyhow::Error::from(error));
    match text.as_str() {
        _ if text.contains("does not know an admin") || text.contains("is no admin of") => {
            CommandError::Usage(format!("--admin-email: {text}"))
        }
        _ => CommandError::Usage(text),
    }
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

async fn like(
    url: &str,
    admin: &AdminLogin,
    slug: &str,
) -> Result<rehearsal::crowd::preset::Sale, CommandError> {
    let like = async {
        let target = rehearsal::client::Target::new(url)?;
        Ok::<_, PlayError>(Stage::enter(target, admin).await?.sale_like(slug).await?)
    };
    like.await.map_err(told)
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
    let now = super::system_clock(Timestamp::default()).now();
    Ok(Box::new(move |buyer: BuyerId| tokens.issue(buyer, Role::Buyer, Uuid::new_v4(), now)))
}

/// Stops a private instance; a folder that shows what went wrong is kept.
async fn finish(instance: Instance, report: &mut Report) {
    let Instance::Private(mut private) = instance else { return };
    let keep = matches!(report.verdict, Verdict::Broken { .. }) || private.ended().is_some();
    match private.stop(keep).await {
        Ok(Some(folder)) => report.notes.push(format!(
            "The instance's ledger, tables and log are kept in {} (doorbuster verify --data {}/data).",
            folder.display(),
            folder.display()
        )),
        Ok(None) => {}
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            say_error(&error);
            report.notes.push(error);
        }
    }
}
