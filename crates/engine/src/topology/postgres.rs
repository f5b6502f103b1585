//! The engine of one instance on PostgreSQL: it decides in memory and records in the database. It holds no lock on the database: a
//! start claims the ledger, and the instance that had it before is refused from then on. A second instance that is started by mistake
//! stops the first one, and no unit is sold twice.

use super::clock_checkpointer::ClockCheckpointer;
use super::start_moment::{StartCheck, StartMoment, accept_any_moment};
use super::{RunningEngine, StartError, build_runtime};
use crate::clock::Clock;
use crate::decide::{BatchDecider, memory::MemoryDecider};
use crate::pipeline::{PipelineLimits, assemble_pipeline};
use crate::record::LedgerReader;
use crate::record::postgres::{PostgresAddress, PostgresReader, PostgresRecorder, write_reached_time};
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
    start_on_postgres_checked(address, limits, &accept_any_moment, clock)
}

/// As [`start_on_postgres`], if `check` accepts the moment at which the ledger is. A start that is refused claims nothing: the
/// instance that has the ledger keeps it.
///
/// # Errors
/// As [`start_on_postgres`], and what `check` returns.
pub fn start_on_postgres_checked(
    address: &PostgresAddress,
    limits: PipelineLimits,
    check: StartCheck<'_>,
    clock: impl FnOnce(Timestamp) -> Arc<dyn Clock>,
) -> Result<RunningEngine, StartError> {
    let reader = block_on(PostgresReader::open(address))?;
    let mut decider = MemoryDecider::default();
    // The instance that has the ledger goes on selling while it is read.
    block_on(decider.rebuild(&reader))?;
    let last = decider.latest_time().max(block_on(reader.load_reached_time())?);
    check(&StartMoment { last, sales: decider.views() })?;
    let recorder = block_on(PostgresRecorder::claim(address, &reader))?;
    // After the claim no other instance writes: what is missing is what was written while the ledger was read.
    let heads = block_on(reader.list_heads())?;
    block_on(decider.catch_up(&reader, &heads))?;
    let ledger: Arc<dyn LedgerReader> = Arc::new(reader);
    let clock = clock(decider.latest_time().max(last));
    let (runtime, address) = (build_runtime(true)?, address.clone());
    let clock_checkpointer = ClockCheckpointer::start(Arc::clone(&clock), move |at| {
        runtime.block_on(write_reached_time(&address, at))
    })?;
    let started = RunningEngine::start_stages(assemble_pipeline(decider, recorder, ledger, clock, limits))?;
    Ok(RunningEngine { clock_checkpointer: Some(clock_checkpointer), ..started })
}
