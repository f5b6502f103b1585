//! The command line: reads settings, builds what the other modules work with, and turns outcomes into exit codes. Only
//! this module reads settings and builds the clock.

pub mod settings;

pub mod serve;

pub mod worker;

pub mod rehearse;

pub mod admin;
pub mod cli_reference;
pub mod database;
pub mod demo;
mod disk;
pub mod environment;
pub mod followers;
pub mod import;
pub mod instance;
mod ledger_loss;
pub mod migrate;
pub mod move_folder;
pub mod open_files;
mod reconcile;
mod stripe;
mod token_key;
pub mod valkey;
pub mod verify;

use crate::followers::backoff::RandomSource;
use crate::telemetry::logs::{self, LogFormat};
use clap::parser::ValueSource;
use clap::{CommandFactory, Parser, Subcommand};
use engine::ClockSkew;
use engine::clock::{Clock, SystemClock};
use engine::error_text::describe_error;
use environment::{CommandFlags, DerivedSettings, StartNotice};
use sale::Timestamp;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

/// Flash sales that cannot oversell, in one binary.
#[derive(Debug, Parser)]
#[command(name = "doorbuster", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct CommandLine {
    #[command(subcommand)]
    command: CliCommand,
    /// Format of the log.
    #[arg(long, global = true, env = "DOORBUSTER_LOG_FORMAT", value_enum, default_value = "pretty")]
    log_format: LogFormat,
    /// What is logged, such as `info` or `server=debug`.
    #[arg(
        long,
        global = true,
        env = "DOORBUSTER_LOG",
        default_value = "info,sqlx=warn",
        value_name = "LEVELS"
    )]
    log: String,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Runs the shop: API and worker.
    Serve(Box<settings::Serve>),
    /// Does what is due by itself in a shop with many instances, without an API: expired holds, admissions, tables, payments left
    /// open, decisions that a killed instance left unrecorded.
    Worker(Box<worker::WorkerArgs>),
    /// Checks every promise of a ledger and its tables, in a data folder or a database, also beside a running instance.
    Verify(verify::VerifyArgs),
    /// Plays a whole drop with simulated buyers, and judges from the replies they got whether every promise was kept.
    Rehearse(Box<rehearse::RehearseSettings>),
    /// Manages admins, and ends the sessions of accounts.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Shows and rewinds the followers of the ledger.
    #[command(subcommand)]
    Followers(followers::FollowersCommand),
    /// Compares what the payment provider captured with the confirmed orders, and prints what differs. It changes nothing.
    Reconcile(Box<reconcile::ReconcileArgs>),
    /// Imports what another system kept, from a CSV file. A repeated import changes nothing.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Moves a stopped data folder into an empty database.
    Move(move_folder::MoveArgs),
    /// Brings the tables up to date.
    Migrate(migrate::MigrateArgs),
    /// Prints the description of the API (what `make gen` writes to docs/openapi.json).
    #[command(hide = true)]
    Openapi,
    /// Prints the reference of the command line (what `make gen` writes to docs/cli.md).
    #[command(hide = true)]
    CliReference,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 a check failed, or the command could not go on; 2 bad usage or a wrong \
                          setting, with one sentence that names the flag.";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command line or a setting is wrong: exit code 2. One sentence, with the flag.
    #[error("{0}")]
    Usage(String),
    /// A check failed, and has printed what: exit code 1.
    #[error("a check failed")]
    CheckFailed,
    /// A start failed: exit code 1.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// Reads the command line and runs the command.
#[must_use]
pub fn run() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let derived = match read_design_variables(&arguments) {
        Ok(derived) => derived,
        Err(error) => {
            print_error(&error.to_string(), LogFormat::Pretty);
            return ExitCode::from(2);
        }
    };
    arguments.extend(derived.arguments.iter().map(OsString::from));
    let mut cli = match CommandLine::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return report_usage(&error),
    };
    let format = cli.log_format;
    if let (CliCommand::Serve(settings), Some(address)) = (&mut cli.command, &derived.holds_address) {
        environment::place_holds(&mut settings.dialects.dialects, address);
    }
    match execute(cli, &derived.notices) {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandError::Usage(sentence)) => {
            print_error(&sentence, format);
            ExitCode::from(2)
        }
        Err(CommandError::CheckFailed) => ExitCode::from(1),
        Err(CommandError::Failed(error)) => {
            print_error(&describe_error(error.as_ref()), format);
            ExitCode::from(1)
        }
    }
}

fn execute(cli: CommandLine, notices: &[StartNotice]) -> Result<(), CommandError> {
    logs::start_logging(cli.log_format, &cli.log)
        .map_err(|error| CommandError::Usage(format!("--log: {error}")))?;
    notices.iter().for_each(StartNotice::log);
    if cli.command.writes_secrets() {
        // What SQLite makes beside its files, and any file that is made later, is for this user alone.
        let _before = rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    }
    match cli.command {
        CliCommand::Serve(settings) => {
            let clock_offset = rehearse::clock::clock_error(settings.rehearsal_clock.clone());
            serve::run(*settings, clock_offset, start_clock)
        }
        CliCommand::Worker(settings) => worker::run(&settings, start_clock),
        CliCommand::Rehearse(settings) => rehearse::run(*settings),
        CliCommand::Verify(verify) => verify::run(&verify),
        CliCommand::Admin(command) => {
            let clock = start_clock(Timestamp::default(), ClockSkew::default());
            admin::run(command, Arc::new(move || clock.now()))
        }
        CliCommand::Followers(command) => followers::run(command),
        CliCommand::Reconcile(settings) => {
            let clock = start_clock(Timestamp::default(), ClockSkew::default());
            let now: crate::clock::TimeSource = Arc::new(move || clock.now());
            reconcile::run(&settings, &now)
        }
        CliCommand::Import(command) => {
            let clock = start_clock(Timestamp::default(), ClockSkew::default());
            import::run(&command, clock.now())
        }
        CliCommand::Move(settings) => {
            let clock = start_clock(Timestamp::default(), ClockSkew::default());
            move_folder::run(&settings, clock.now())
        }
        CliCommand::Migrate(migrate) => migrate::run(&migrate),
        CliCommand::Openapi => {
            let json = crate::http::openapi().to_pretty_json().map_err(anyhow::Error::from)?;
            print_line(&json);
            Ok(())
        }
        CliCommand::CliReference => {
            print_line(cli_reference::markdown(&CommandLine::command()).trim_end());
            Ok(())
        }
    }
}

/// What the variables of other systems become for the command on this command line.
fn read_design_variables(arguments: &[OsString]) -> Result<DerivedSettings, environment::VariableError> {
    let Some(flags) = read_command_flags(arguments) else { return Ok(DerivedSettings::default()) };
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    environment::derive_settings(&variables.collect(), &flags)
}

/// The flags of the command on this command line, and which of them are given. `None` where there is no command.
fn read_command_flags(arguments: &[OsString]) -> Option<CommandFlags> {
    let root = CommandLine::command();
    // What is wrong or missing is reported when the command line is read as a whole.
    let matches = root.clone().ignore_errors(true).try_get_matches_from(arguments).ok()?;
    let (mut command, mut matches) = (&root, &matches);
    while let Some((name, below)) = matches.subcommand() {
        (command, matches) = (command.find_subcommand(name)?, below);
    }
    let own = command.get_arguments().map(|flag| flag.get_id().to_string());
    let mut flags = CommandFlags { known: own.collect(), ..CommandFlags::default() };
    flags.known.insert("log_format".to_owned());
    flags.starts_api = command.get_name() == "serve";
    for flag in &flags.known {
        let is_given =
            matches!(matches.value_source(flag), Some(ValueSource::CommandLine | ValueSource::EnvVariable));
        // `DOORBUSTER_DEMO=false` is not the flag.
        let is_off = matches.try_get_one::<bool>(flag).is_ok_and(|value| value == Some(&false));
        if is_given && !is_off {
            flags.given.insert(flag.clone());
        }
    }
    Some(flags)
}

impl CliCommand {
    /// True for a command that may make files with addresses, password hashes or keys.
    fn writes_secrets(&self) -> bool {
        match self {
            Self::Serve(_)
            | Self::Worker(_)
            | Self::Verify(_)
            | Self::Reconcile(_)
            | Self::Admin(_)
            | Self::Followers(_)
            | Self::Import(_)
            | Self::Move(_)
            | Self::Migrate(_) => true,
            Self::Rehearse(_) | Self::Openapi | Self::CliReference => false,
        }
    }
}

/// The one clock of the process. [`SystemClock`] describes what it does when the machine's clock jumps, or differs from the clock
/// that sales run by.
fn start_clock(not_before: Timestamp, skew: ClockSkew) -> Arc<dyn Clock> {
    SystemClock::start_with_offset(not_before, move || skew.difference_ms())
}

/// Random numbers for the jitter of retries.
fn random_source() -> RandomSource {
    Box::new(|| {
        let mut bits = [0; 4];
        // Without random bytes there is no jitter, and everything else works.
        let _ = getrandom::fill(&mut bits);
        f64::from(u32::from_le_bytes(bits)) / (f64::from(u32::MAX) + 1.0)
    })
}

/// Prints help, or a usage error as one sentence.
fn report_usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        let _ = error.print();
        return ExitCode::from(u8::from(error.use_stderr()) * 2);
    }
    let text = error.to_string();
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let sentence = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    // The command line that has the format cannot be read.
    print_error(sentence.trim_start_matches("error: "), LogFormat::Pretty);
    ExitCode::from(2)
}

/// Prints a line for the person at the terminal. Logs go elsewhere; a closed pipe is no reason to fail.
fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints why the command failed, as the last line of the log and in its format.
fn print_error(text: &str, format: LogFormat) {
    let line = match format {
        LogFormat::Pretty => format!("doorbuster: {text}"),
        LogFormat::Json => {
            serde_json::json!({"level": "ERROR", "message": text, "target": "doorbuster"}).to_string()
        }
    };
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The runtime that all commands use.
fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from)?)
}
