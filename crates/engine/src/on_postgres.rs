//! The engine of one instance on PostgreSQL: deciding in memory, recording in the database. There is no lock on the database:
//! whoever starts claims the ledger, and whoever had it before is refused from then on, so that two that were started by mistake
//! cost the first one its work and nobody a unit.

use crate::clock::Clock;
use crate::decide::{BatchDecider, memory::MemoryDecider};
use crate::embedded::{RunningEngine, StartError};
use crate::pipeline::{PipelineLimits, assemble_pipeline};
use crate::record::LedgerReader;
use crate::record::postgres::{PostgresAddress, PostgresReader, PostgresRecorder};
use futures::executor::block_on;
use sale::Timestamp;
use std::sync::Arc;

/// Starts an engine on the ledger in a database: claims it, folds it, and goes on from there. `clock` is given the ledger's last
/// moment and must not tell an earlier one. Blocks meanwhile.
///
/// # Errors
/// When there is no ledger (see [`crate::record::postgres::make`]), it is damaged, the database cannot be reached, or the machine
/// refuses a thread.
pub fn start_on_postgres(
    address: &PostgresAddress,
    limits: PipelineLimits,
    clock: impl FnOnce(Timestamp) -> Arc<dyn Clock>,
) -> Result<RunningEngine, StartError> {
    let (reader, recorder) = block_on(async {
        let reader = PostgresReader::open(address).await?;
        // Before it is read: what is written after this is ours.
        let recorder = PostgresRecorder::claim(address, &reader).await?;
        Ok::<_, StartError>((reader, recorder))
    })?;
    let ledger: Arc<dyn LedgerReader> = Arc::new(reader);
    let mut decider = MemoryDecider::default();
    block_on(decider.rebuild(ledger.as_ref()))?;
    let clock = clock(decider.latest_time());
    RunningEngine::start_stages(assemble_pipeline(decider, recorder, ledger, clock, limits))
}
