//! What a full disk does to a start: each library says it in its own way, or not at all. This module looks at the disk itself.

use super::CommandError;
use engine::record::ReadError;
use std::path::Path;

/// A disk with less room than this is full: SQLite's log and its index need as much before the first row is written.
const FULL_BELOW_BYTES: u64 = 256 << 10;

/// The error of a start in a data folder; where the disk is full, that is what it says first.
pub(super) fn name_full_disk(folder: &Path, error: CommandError) -> CommandError {
    match error {
        CommandError::Failed(cause) if !is_damage(&cause) => match count_free_bytes(folder) {
            Some(free) if free < FULL_BELOW_BYTES => CommandError::Failed(anyhow::anyhow!(
                "the disk of {} is full ({free} bytes are free): make room and start again; {cause:#}",
                folder.display()
            )),
            _ => CommandError::Failed(cause),
        },
        error => error,
    }
}

fn is_damage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<ReadError>().is_some_and(ReadError::is_damage))
}

/// Bytes that this user may still write; `None` where the system does not say.
fn count_free_bytes(folder: &Path) -> Option<u64> {
    // A folder that could not be made is on the disk of the one that it was to be in.
    let there = folder.ancestors().find(|path| path.as_os_str().is_empty() || path.exists())?;
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
