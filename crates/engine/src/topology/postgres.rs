//! The engine of one instance on PostgreSQL: it decides in memory and records in the database. It holds no lock on the database: a
//! start claims the ledger, and the instance that had it before is refused from then on. A second instance that is started by mistake
//! stops the first one, and no unit is sold twice.

use super::{RunningEngine, StartError};
use crate::clock::Clock;
use crate::decide::{BatchDecider, memory::MemoryDecider};
use crate::pipeline::{PipelineLimits, assemble_pipeline};
use crate::record::LedgerReader;
use crate::record::postgres::{PostgresAddress, PostgresReader, PostgresRecorder};
use futures::executor::block_on;
use sale::Timestamp;
use std::sync::Arc;

/// Starts an engine on the ledger in a database: claims the ledger and folds it, and blocks meanwhile. `clock` gets the ledger's last
/// moment and must not show an earlier one.
///
/// # Errors
/// When there is no ledger (see [`crate::record::postgres::create_tables`]), it is damaged, the database cannot be reached, or the machine
/// refuses a thread.
pub fn start_on_postgres(
    address: &PostgresAddress,
    limits: PipelineLimits,
    clock: impl FnOnce(Timestamp) -> Arc<dyn Clock>,
) -> Result<RunningEngine, StartError> {
    let (reader, recorder) = block_on(async {
        let reader = PostgresReader::open(address).await?;
        // Before the ledger is read: after the claim no other instance writes.
        let recorder = PostgresRecorder::claim(address, &reader).await?;
        Ok::<_, StartError>((reader, recorder))
    })?;
    let ledger: Arc<dyn LedgerReader> = Arc::new(reader);
    let mut decider = MemoryDecider::default();
    block_on(decider.rebuild(ledger.as_ref()))?;
    let clock = clock(decider.latest_time());
    RunningEngine::start_stages(assemble_pipeline(decider, recorder, ledger, clock, limits))
}
