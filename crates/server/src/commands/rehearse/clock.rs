//! The private instance's side of a clock jump: it reads the clock's error from a file that the rehearsal writes.

use crate::commands::instance::ClockSync;
use engine::ClockOffset;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The error of the machine's clock: the content of the file, or 0 without a file.
#[must_use]
pub fn clock_error(file: Option<PathBuf>) -> ClockOffset {
    match file {
        None => Arc::new(|| 0),
        Some(file) => Arc::new(move || read_clock_error(&file)),
    }
}

/// Milliseconds by which the wall clock is wrong; 0 while the file has no number.
fn read_clock_error(file: &Path) -> i64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().next().and_then(|ms| ms.parse().ok()).unwrap_or(0)
}

/// What the second word of the file says of the clock; `None` without one.
pub(in crate::commands) fn find_clock_sync(file: Option<&Path>) -> Option<ClockSync> {
    let text = std::fs::read_to_string(file?).ok()?;
    match text.split_whitespace().nth(1)? {
        "synchronised" => Some(ClockSync::Synchronised),
        "unsynchronised" => Some(ClockSync::Unsynchronised),
        _ => None,
    }
}
