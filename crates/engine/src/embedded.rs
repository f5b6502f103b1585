//! The engine of one machine: deciding in memory, recording in SQLite, each on a thread of its own, in a data folder
//! that belongs to one process at a time.

use crate::clock::Clock;
use crate::decide::{BatchDecider, memory::MemoryDecider};
use crate::engine::Engine;
use crate::pipeline::{Pipeline, PipelineLimits, assemble_pipeline};
use crate::record::sqlite::{SqliteReader, SqliteRecorder, check_log, set_torn_tails_aside};
use crate::record::{LedgerReader, LedgerRecorder, ReadError, RecordError};
use sale::Timestamp;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::runtime::Runtime;

/// A running engine and what it owns.
pub struct RunningEngine {
    pub engine: Engine,
    /// Rows that a power loss had torn, and that were set aside at the start.
    pub torn_rows: u64,
    threads: Vec<JoinHandle<()>>,
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process uses the folder.
    #[error(
        "the data folder {folder} is in use by another doorbuster (process {pid}): stop it, or give this one its own --data"
    )]
    Locked {
        folder: PathBuf,
        /// By whom, as far as it said so.
        pid: String,
    },
    /// The folder cannot be made or written.
    #[error("the data folder {folder} cannot be used")]
    Folder { folder: PathBuf, source: io::Error },
    /// The ledger cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The ledger cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The place of decision cannot be reached, or is not fit.
    #[error(transparent)]
    Decide(Box<dyn std::error::Error + Send + Sync>),
    /// The operating system gives no thread.
    #[error("a thread of the engine cannot be started")]
    Thread(#[source] io::Error),
}

/// Starts an engine in `folder`: locks it, mends a torn end of the ledger, folds it, and goes on from there. `clock` is
/// given the ledger's last moment and must not tell an earlier one.
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

/// As [`start_embedded`], with whatever `decide` and `record` make of the decider and the recorder: so that a test can put
/// something broken in their place. What decides must be folded already, as the [`Memory`] is that `decide` is given.
///
/// # Errors
/// As [`start_embedded`].
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
    let Pipeline { engine, decide, record } = assemble_pipeline(decider, recorder, ledger, clock, limits);
    let record = async move {
        record.run().await;
        // Nothing writes any more: the folder is free.
        drop(lock);
    };
    let threads = vec![
        spawn_stage("decide", decide.run(), build_runtime(false)?)?,
        spawn_stage("record", record, build_runtime(false)?)?,
    ];
    Ok(RunningEngine { engine, torn_rows, threads })
}

impl RunningEngine {
    /// A pipeline that records over the network, each stage on its thread.
    pub(crate) fn start_stages<D: BatchDecider + Sync, R: LedgerRecorder>(
        pipeline: Pipeline<D, R>,
    ) -> Result<Self, StartError> {
        Self::start_stages_on(pipeline, build_runtime(false)?, build_runtime(true)?)
    }

    /// A pipeline whose stages have runtimes already, each on its thread.
    pub(crate) fn start_stages_on<D: BatchDecider + Sync, R: LedgerRecorder>(
        pipeline: Pipeline<D, R>,
        deciding: Runtime,
        recording: Runtime,
    ) -> Result<Self, StartError> {
        let Pipeline { engine, decide, record } = pipeline;
        let threads = vec![
            spawn_stage("decide", decide.run(), deciding)?,
            spawn_stage("record", record.run(), recording)?,
        ];
        Ok(Self { engine, torn_rows: 0, threads })
    }

    /// Answers everything that was taken, makes it durable, ends the threads and frees the folder. Without it, the engine
    /// runs until its last handle is dropped.
    pub fn stop(self) {
        self.engine.begin_stop();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine had panicked");
            }
        }
    }
}

fn spawn_stage(
    name: &str,
    stage: impl Future<Output = ()> + Send + 'static,
    runtime: Runtime,
) -> Result<JoinHandle<()>, StartError> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || runtime.block_on(stage))
        .map_err(StartError::Thread)
}

/// A runtime for one thread.
pub(crate) fn build_runtime(has_network: bool) -> Result<Runtime, StartError> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time();
    if has_network {
        // Only then: without it a thread is woken sooner.
        builder.enable_io();
    }
    builder.build().map_err(StartError::Thread)
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
