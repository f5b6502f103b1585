//! The private instance's side of a clock that jumps: how wrong its machine's clock is to be, read from a file that the
//! rehearsal writes.

use std::path::Path;

/// Milliseconds by which the wall clock is wrong; 0 while nobody has written any.
#[must_use]
pub fn read(file: &Path) -> i64 {
    std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
