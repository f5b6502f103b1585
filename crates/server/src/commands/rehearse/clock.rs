//! The private instance's side of a clock jump: it reads the clock's error from a file that the rehearsal writes.

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
    std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
