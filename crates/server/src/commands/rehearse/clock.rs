//! The private instance's side of a clock that jumps: how wrong its machine's clock is to be, read from a file that the
//! rehearsal writes.

use engine::ClockOffset;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the machine's clock is wrong by: what stands in the file, or nothing where there is none.
#[must_use]
pub fn clock_error(file: Option<PathBuf>) -> ClockOffset {
    match file {
        None => Arc::new(|| 0),
        Some(file) => Arc::new(move || read_clock_error(&file)),
    }
}

/// Milliseconds by which the wall clock is wrong; 0 while nobody has written any.
fn read_clock_error(file: &Path) -> i64 {
    std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
