//! The engine of one of many instances: deciding in Valkey, recording in PostgreSQL. All that an instance knows is in one of the two;
//! it can be killed at any moment, and the others find what it has left. There is no leader, and nothing here is locked for longer
//! than a statement.

mod recorder;
mod trimmer;

use crate::clock::Clock;
use crate::decide::BatchDecider;
use crate::decide::valkey::{ClockOffset, ClockSkew, Outbox, ValkeyDecider, ValkeyError, ValkeySettings};
use crate::embedded::{RunningEngine, StartError, build_runtime};
use crate::metrics::PipelineMetrics;
use crate::pipeline::{PipelineLimits, assemble_with_metrics};
use crate::record::postgres::{PostgresAddress, PostgresEpochs, PostgresReader, SharedWriter};
use crate::record::{EpochStore, LedgerReader, LedgerRecorder, RecordError};
use recorder::OutboxRecorder;
use std::sync::Arc;
use uuid::Uuid;

/// How often the start looks at all sales anew, because a state turned out to be over.
const ATTEMPTS_MAX: usize = 5;

/// What an instance of a cluster is started with.
pub struct ClusterSettings {
    pub database: PostgresAddress,
    /// Where is decided: `redis://host:port/`, any node of a cluster of servers.
    pub valkey: String,
    /// Whether this instance sees to what is due in sales that nobody asks about. One that does is enough, any number may.
    pub ticks: bool,
    /// By how much this machine's clock is to be taken for wrong.
    pub clock_offset: ClockOffset,
}

/// Starts an engine that shares its sales with others. `clock` is given how far the deciding server's clock is from this machine's;
/// sales run by the server's. Blocks meanwhile.
///
/// # Errors
/// When there is no ledger (see [`crate::record::postgres::make`]) or it is damaged, the database or the Valkey cannot be reached or
/// is not fit, or the machine refuses a thread.
pub fn start_in_cluster(
    cluster: &ClusterSettings,
    limits: PipelineLimits,
    clock: impl FnOnce(ClockSkew) -> Arc<dyn Clock>,
) -> Result<RunningEngine, StartError> {
    let deciding = build_runtime(true)?;
    let recording = build_runtime(true)?;
    let metrics = PipelineMetrics::default();
    let (reader, mut decider) = deciding.block_on(async {
        let reader = Arc::new(PostgresReader::open(&cluster.database).await?);
        let epochs: Arc<dyn EpochStore> = Arc::new(PostgresEpochs::new(Arc::clone(&reader)));
        let settings = ValkeySettings {
            url: cluster.valkey.clone(),
            name: Uuid::new_v4().to_string(),
            uses_caller_time: false,
            ticks: cluster.ticks,
            clock_offset: Arc::clone(&cluster.clock_offset),
        };
        let decider =
            ValkeyDecider::start(&settings, Arc::clone(&reader) as Arc<dyn LedgerReader>, epochs).await?;
        Ok::<_, StartError>((reader, decider))
    })?;
    let mut recorder = recording.block_on(async {
        let writer = SharedWriter::join(&cluster.database).await?;
        let outbox = || Outbox::new(&cluster.valkey);
        Ok::<_, StartError>(OutboxRecorder::new(writer, outbox()?, outbox()?, metrics.clone()))
    })?;
    let mut tries = 0;
    loop {
        // What others left behind is recorded before anything of it is shown.
        let standing = deciding.block_on(decider.rebuild(reader.as_ref()))?;
        match recording.block_on(recorder.append(&standing.batch)) {
            Ok(()) => break,
            Err(RecordError::StaleEpochs(outdated)) if tries < ATTEMPTS_MAX => {
                tries += 1;
                outdated.iter().for_each(|outdated| decider.invalidate(outdated));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let clock = clock(decider.skew());
    let pipeline = assemble_with_metrics(decider, recorder, reader, clock, limits, metrics);
    RunningEngine::start_stages_on(pipeline, deciding, recording)
}

impl From<ValkeyError> for StartError {
    fn from(error: ValkeyError) -> Self {
        match error {
            ValkeyError::Ledger(error) => Self::Read(error),
            other => Self::Decide(Box::new(other)),
        }
    }
}
