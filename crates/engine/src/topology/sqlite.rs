//! The engine of one machine: it decides in memory and records in SQLite, in a data folder that one process at a time has locked.

use super::clock_checkpointer::ClockCheckpointer;
use super::data_folder::lock_folder;
use super::start_moment::{StartCheck, StartMoment, accept_any_moment};
use super::{RunningEngine, StartError};
use crate::clock::Clock;
use crate::decide::{BatchDecider, memory::MemoryDecider};
use crate::pipeline::{PipelineLimits, assemble_pipeline};
use crate::record::sqlite::{
    FILE, ReachedTimeWriter, ReadAccess, SqliteReader, SqliteRecorder, StructureCheck, check_log,
    check_structure, create_ledger, load_reached_time, move_torn_tails,
};
use crate::record::{LedgerReader, LedgerRecorder, ReadError};
use sale::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a start checks the structure of a file, beside reading it: a ledger of some ten million events. `doorbuster verify` has no
/// limit.
pub const STRUCTURE_CHECK_LIMIT: Duration = Duration::from_secs(10);

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
    start_on_sqlite_checked(folder, limits, &accept_any_moment, clock)
}

/// As [`start_on_sqlite`], if `check` accepts the moment at which the ledger is.
///
/// # Errors
/// As [`start_on_sqlite`], and what `check` returns.
pub fn start_on_sqlite_checked(
    folder: &Path,
    limits: PipelineLimits,
    check: StartCheck<'_>,
    clock: impl FnOnce(Timestamp) -> Arc<dyn Clock>,
) -> Result<RunningEngine, StartError> {
    start(folder, limits, check, clock, |memory| memory, |recorder| recorder)
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
    start(folder, limits, &accept_any_moment, clock, decide, record)
}

fn start<D: BatchDecider + Sync, R: LedgerRecorder>(
    folder: &Path,
    limits: PipelineLimits,
    check: StartCheck<'_>,
    clock: impl FnOnce(Timestamp) -> Arc<dyn Clock>,
    decide: impl FnOnce(MemoryDecider) -> D,
    record: impl FnOnce(SqliteRecorder) -> R,
) -> Result<RunningEngine, StartError> {
    let lock = lock_folder(folder)?;
    check_log(folder, FILE)?;
    let reader = match SqliteReader::open(folder) {
        Err(ReadError::Missing { .. }) => {
            create_ledger(folder)?;
            SqliteReader::open(folder)?
        }
        opened => opened?,
    };
    let ledger: Arc<dyn LedgerReader> = Arc::new(reader);
    let mut decider = MemoryDecider::default();
    // Both read the whole file. Nothing is written before both have.
    let (folded, structure) = std::thread::scope(|scope| {
        let structure = scope.spawn(|| check_ledger_structure(folder));
        let folded = futures::executor::block_on(decider.rebuild(ledger.as_ref()));
        (folded, structure.join())
    });
    structure.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let mut torn_rows = 0;
    if let Err(ReadError::Damaged { .. }) = folded {
        torn_rows = move_torn_tails(folder)?;
        futures::executor::block_on(decider.rebuild(ledger.as_ref()))?;
    } else {
        folded?;
    }
    let last = decider.latest_time().max(load_reached_time(folder)?);
    check(&StartMoment { last, sales: decider.views() })?;
    let recorder = SqliteRecorder::open(folder)?;
    let clock = clock(last);
    let mut reached = ReachedTimeWriter::new(folder);
    let clock_checkpointer = ClockCheckpointer::start(Arc::clone(&clock), move |at| reached.write(at))?;

    let (decider, recorder) = (decide(decider), record(recorder));
    let pipeline = assemble_pipeline(decider, recorder, ledger, clock, limits);
    let started = RunningEngine::start_on_disk(pipeline, lock)?;
    Ok(RunningEngine { torn_rows, clock_checkpointer: Some(clock_checkpointer), ..started })
}

/// Refuses a ledger whose file is malformed. What the time did not suffice for is read as usual, row by row.
fn check_ledger_structure(folder: &Path) -> Result<(), ReadError> {
    let checked = check_structure(&folder.join(FILE), ReadAccess::Shared, Some(STRUCTURE_CHECK_LIMIT));
    match checked.map_err(|error| ReadError::Store(Box::new(error)))? {
        StructureCheck::Intact => Ok(()),
        StructureCheck::Unfinished => {
            tracing::warn!(
                file = FILE,
                limit_s = STRUCTURE_CHECK_LIMIT.as_secs(),
                "the structure of a file was checked only in part, because its time was up; run `doorbuster verify`, which checks all of it"
            );
            Ok(())
        }
        StructureCheck::Malformed(findings) => {
            Err(ReadError::Corrupt { file: FILE.to_owned(), cause: findings.into() })
        }
    }
}
