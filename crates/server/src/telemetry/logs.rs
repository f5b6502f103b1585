//! Logs to standard error, for people or for machines. It never writes to standard output.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Begins logging what `filter` lets through, such as `info` or `server=debug,sqlx=warn`. A second call does nothing.
///
/// # Errors
/// When `filter` cannot be understood.
pub fn start_logging(format: LogFormat, filter: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours are for a terminal; in a file they are noise.
    let log = log.with_ansi(std::io::stderr().is_terminal());
    // A line that cannot be written (often because the log is on the disk that is full) is lost. By default the library reports that
    // on standard error, and panics when that fails, too: it would end the recorder or the whole process.
    let log = log.log_internal_errors(false);
    let started = match format {
        LogFormat::Pretty => log.with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).try_init(),
    };
    // It fails only after an earlier call, as in tests.
    drop(started);
    Ok(())
}
