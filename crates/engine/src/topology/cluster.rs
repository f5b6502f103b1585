//! The engine of one of many instances: it decides in Valkey and records in PostgreSQL. An instance keeps nothing that is not in one of
//! the two: when it is killed, the others record what it has decided. There is no leader, and no lock outlasts a statement.

mod recorder;
mod trimmer;

use super::{RunningEngine, StartError, build_runtime};
use crate::clock::Clock;
use crate::decide::BatchDecider;
use crate::decide::valkey::{ClockOffset, ClockSkew, Outbox, ValkeyDecider, ValkeyError, ValkeySettings};
use crate::metrics::PipelineMetrics;
use crate::pipeline::{PipelineLimits, assemble_with_metrics};
use crate::record::postgres::{PostgresAddress, PostgresEpochs, PostgresReader, SharedWriter};
use crate::record::{EpochStore, LedgerReader, LedgerRecorder, RecordError};
use crate::valkey_connection::ValkeyAddress;
use recorder::OutboxRecorder;
use std::sync::Arc;
use uuid::Uuid;

/// How often the start reads all sales again because an epoch turned out to be over.
const TRIES_MAX: usize = 5;

pub struct ClusterSettings {
    pub database: PostgresAddress,
    /// The decision store, or any node of a Redis Cluster.
    pub valkey: ValkeyAddress,
    /// Whether this instance expires holds and admits buyers in sales without requests. At least one instance must, any number may.
    pub ticks: bool,
    /// A deliberate error of this machine's clock, for rehearsals.
    pub clock_offset: ClockOffset,
}

/// Starts an engine that shares its sales with other instances, and blocks meanwhile. Sales run by the decision store's clock; `clock`
/// gets its difference from this machine's.
///
/// # Errors
/// When there is no ledger (see [`crate::record::postgres::create_tables`]) or it is damaged, the database or the Valkey cannot be reached or
/// may not be used, or the machine refuses a thread.
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
            address: cluster.valkey.clone(),
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
        Ok::<_, StartError>(OutboxRecorder::new(writer, outbox(), outbox(), metrics.clone()))
    })?;
    let mut tries = 0;
    loop {
        // Events that killed instances left in the outbox are recorded before the views show them.
        let rebuilt = deciding.block_on(decider.rebuild(reader.as_ref()))?;
        match recording.block_on(recorder.append(&rebuilt.batch)) {
            Ok(()) => break,
            Err(RecordError::StaleEpochs(stale)) if tries < TRIES_MAX => {
                tries += 1;
                stale.iter().for_each(|stale| decider.invalidate(stale));
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
