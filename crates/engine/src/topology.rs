//! The three ways to run the engine: alone on SQLite, alone on PostgreSQL, and one of many on Valkey and PostgreSQL. Each puts a
//! decider and a recorder together and gives the two stages a thread each. Nothing here decides or records.

mod cluster;
mod postgres;
mod sqlite;

mod clock_checkpointer;
mod data_folder;
mod start_moment;

pub use cluster::{ClusterSettings, start_in_cluster};
pub use data_folder::{DataFolderLock, create_data_folder, is_folder_in_use, lock_data_folder};
pub use postgres::{start_on_postgres, start_on_postgres_checked};
pub use sqlite::{STRUCTURE_CHECK_LIMIT, start_on_sqlite, start_on_sqlite_checked, start_on_sqlite_with};
pub use start_moment::{SalePhaseChange, StartCheck, StartMoment};

use crate::decide::BatchDecider;
use crate::engine::Engine;
use crate::pipeline::Pipeline;
use crate::record::{LedgerRecorder, ReadError, RecordError};
use clock_checkpointer::ClockCheckpointer;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::thread::JoinHandle;
use tokio::runtime::Runtime;

/// A running engine and what it owns.
pub struct RunningEngine {
    pub engine: Engine,
    /// Rows that a power loss had torn; the start has set them aside.
    pub torn_rows: u64,
    threads: Vec<JoinHandle<()>>,
    /// Where the engine's clock is this process's own.
    clock_checkpointer: Option<ClockCheckpointer>,
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "the data folder {folder} is in use by another doorbuster (process {pid}): stop it, or give this one its own --data"
    )]
    Locked {
        folder: PathBuf,
        /// The other process, as far as it wrote its id.
        pid: String,
    },
    #[error("the data folder {folder} cannot be used")]
    Folder { folder: PathBuf, source: io::Error },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The decision store cannot be reached, or may not be decided in.
    #[error(transparent)]
    Decide(Box<dyn std::error::Error + Send + Sync>),
    #[error("a thread of the engine cannot be started")]
    Thread(#[source] io::Error),
    /// The caller's check refused the start, in this sentence.
    #[error("{0}")]
    Refused(String),
}

impl RunningEngine {
    /// Runs a pipeline that records on this machine's disk. `lock` is released when nothing writes any more.
    fn start_on_disk<D: BatchDecider + Sync, R: LedgerRecorder>(
        pipeline: Pipeline<D, R>,
        lock: File,
    ) -> Result<Self, StartError> {
        let Pipeline { engine, decide, record } = pipeline;
        let record = async move {
            record.run().await;
            drop(lock);
        };
        let threads = vec![
            spawn_stage("decide", decide.run(), build_runtime(false)?)?,
            spawn_stage("record", record, build_runtime(false)?)?,
        ];
        Ok(Self { engine, torn_rows: 0, threads, clock_checkpointer: None })
    }

    /// Runs a pipeline that records over the network.
    fn start_stages<D: BatchDecider + Sync, R: LedgerRecorder>(
        pipeline: Pipeline<D, R>,
    ) -> Result<Self, StartError> {
        Self::start_stages_on(pipeline, build_runtime(false)?, build_runtime(true)?)
    }

    /// Runs a pipeline whose stages have runtimes already.
    fn start_stages_on<D: BatchDecider + Sync, R: LedgerRecorder>(
        pipeline: Pipeline<D, R>,
        deciding: Runtime,
        recording: Runtime,
    ) -> Result<Self, StartError> {
        let Pipeline { engine, decide, record } = pipeline;
        let threads = vec![
            spawn_stage("decide", decide.run(), deciding)?,
            spawn_stage("record", record.run(), recording)?,
        ];
        Ok(Self { engine, torn_rows: 0, threads, clock_checkpointer: None })
    }

    /// Stops taking requests, answers those that were taken, ends the threads and unlocks the folder. Without this call, the engine
    /// runs until its last handle is dropped.
    pub fn stop(self) {
        self.engine.begin_stop();
        // Before the folder is unlocked: another process may start then.
        drop(self.clock_checkpointer);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!(
                    "a thread of the engine panicked; requests that it had taken may be recorded without a reply"
                );
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
fn build_runtime(has_network: bool) -> Result<Runtime, StartError> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time();
    if has_network {
        // A thread without a network driver wakes up sooner.
        builder.enable_io();
    }
    builder.build().map_err(StartError::Thread)
}
