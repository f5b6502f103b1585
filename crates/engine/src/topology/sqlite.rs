//! The engine of one machine: it decides in memory and records in SQLite, in a data folder that one process at a time has locked.

use super::{RunningEngine, StartError};
use crate::clock::Clock;
use crate::decide::{BatchDecider, memory::MemoryDecider};
use crate::pipeline::{PipelineLimits, assemble_pipeline};
use crate::record::sqlite::{SqliteReader, SqliteRecorder, check_log, set_torn_tails_aside};
use crate::record::{LedgerReader, LedgerRecorder, ReadError};
use sale::Timestamp;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

/// Starts an engine in `folder`: locks the folder, sets torn rows at the ends of sales aside, and folds the ledger. `clock` gets the
/// ledger's last moment and must not show an earlier one.
///
/// # Errors
/// When another process uses the folder, the ledger is damaged, or the machine refuses a file or thread.
pub fn start_on_sqlite(
    folder: &Path,
    limits: PipelineLimits,
    clock: impl FnOnce(Timestamp) -> Arc<dyn Clock>,
) -> Result<RunningEngine, StartError> {
    start_on_sqlite_with(folder, limits, clock, |memory| memory, |recorder| recorder)
}

/// As [`start_on_sqlite`], with the decider and the recorder that `decide` and `record` return, so that a test can replace them
/// with faulty ones. `decide` gets a decider whose state is folded, and returns one.
///
/// # Errors
/// As [`start_on_sqlite`].
pub fn start_on_sqlite_with<D: BatchDecider + Sync, R: LedgerRecorder>(
    folder: &Path,
    limits: PipelineLimits,
    clock: impl FnOnce(Timestamp) -> Arc<dyn Clock>,
    decide: impl FnOnce(MemoryDecider) -> D,
    record: impl FnOnce(SqliteRecorder) -> R,
) -> Result<RunningEngine, StartError> {
    let lock = lock_folder(folder)?;
    check_log(folder)?;
    let recorder = SqliteRecorder::open(folder)?;
    let ledger: Arc<dyn LedgerReader> = Arc::new(SqliteReader::open(folder)?);
    let mut decider = MemoryDecider::default();
    let mut torn_rows = 0;
    let folded = futures::executor::block_on(decider.rebuild(ledger.as_ref()));
    if let Err(ReadError::Damaged { .. }) = folded {
        torn_rows = set_torn_tails_aside(folder)?;
        futures::executor::block_on(decider.rebuild(ledger.as_ref()))?;
    } else {
        folded?;
    }
    let clock = clock(decider.latest_time());

    let (decider, recorder) = (decide(decider), record(recorder));
    let pipeline = assemble_pipeline(decider, recorder, ledger, clock, limits);
    Ok(RunningEngine { torn_rows, ..RunningEngine::start_on_disk(pipeline, lock)? })
}

/// Makes a data folder, if there is none, for its owner alone: it will hold addresses, password hashes and keys.
///
/// # Errors
/// When it cannot be made.
pub fn create_data_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Locks `folder` for this process, making it if need be. The lock goes with the process, however it ends.
fn lock_folder(folder: &Path) -> Result<File, StartError> {
    let folder_error = |source| StartError::Folder { folder: folder.to_owned(), source };
    create_data_folder(folder).map_err(folder_error)?;
    let path = folder.join("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(folder_error)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(folder_error)?;
            write!(file, "{}", std::process::id()).map_err(folder_error)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            if file.read_to_string(&mut pid).is_err() || pid.is_empty() {
                "unknown".clone_into(&mut pid);
            }
            Err(StartError::Locked { folder: folder.to_owned(), pid })
        }
        Err(TryLockError::Error(source)) => Err(folder_error(source)),
    }
}
