//! Logs to standard error, for people or for machines. It never writes to standard output, and no level makes it write a secret: the
//! libraries that see requests and packets as they arrive log them, tokens included, so their details are never let through.

use std::io::IsTerminal;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Libraries that log what they read or send below the level `info`: the tokens of sockets (in packets), of requests (in heads), and the
/// secret ids of polling sessions (in addresses).
const SECRET_READERS: [&str; 9] = [
    "engineioxide",
    "socketioxide",
    "tungstenite",
    "tokio_tungstenite",
    "hyper",
    "hyper_util",
    "reqwest",
    "rustls",
    "redis",
];

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
        LogFormat::Pretty => log.with_target(false).finish().with(filter_fn(shows_no_secret)).try_init(),
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_current_span(false).finish();
            log.with(filter_fn(shows_no_secret)).try_init()
        }
    };
    // It fails only after an earlier call, as in tests.
    drop(started);
    Ok(())
}

/// False for details of a library that reads secrets.
fn shows_no_secret(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::INFO || !SECRET_READERS.iter().any(|library| is_part_of(line.target(), library))
}

/// True for a library and its modules, also for its siblings such as `socketioxide_core`.
fn is_part_of(target: &str, library: &str) -> bool {
    target
        .strip_prefix(library)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || rest.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_known_by_its_name_its_modules_and_its_siblings() {
        for target in ["socketioxide", "socketioxide::client", "socketioxide_core::packet"] {
            assert!(is_part_of(target, "socketioxide"), "{target}");
        }
        for target in ["server::realtime", "socket", "hypertext"] {
            assert!(!SECRET_READERS.iter().any(|library| is_part_of(target, library)), "{target}");
        }
    }
}
