//! The pipeline of a sale: **decide → record → answer**.
//!
//! Callers hand requests to an [`Engine`]. One stage decides them in order of arrival ([`decide::BatchDecider`]), the next
//! records what was decided, a batch at a time ([`record::LedgerRecorder`]), and only then are the callers answered. Followers
//! read what was recorded through [`record::LedgerReader`].
//!
//! The engine never answers a command before its events are durable, never waits for a follower, and never knows
//! about HTTP, accounts or money transfers. Both stages are plain `async` functions over their ports, so that a test
//! can run them under its own scheduler, clock and failing ledger.

pub mod batch;
pub mod clock;
pub mod damage;
pub mod decide;
mod engine;
pub mod error_text;
mod job;
pub mod line_reader;
mod metrics;
pub mod pipeline;
pub mod record;
mod topology;
pub mod valkey_connection;
mod view;

pub use crate::decide::valkey::{ClockOffset, ClockSkew};
pub use crate::engine::{
    CommandReply, DecidedOrder, Decision, Engine, EngineError, ExtendedAdmission, JoinedLine,
};
pub use crate::metrics::PipelineMetrics;
pub use crate::topology::{
    ClusterSettings, DataFolderLock, RunningEngine, STRUCTURE_CHECK_LIMIT, SalePhaseChange, StartCheck,
    StartError, StartMoment, create_data_folder, is_folder_in_use, lock_data_folder, start_in_cluster,
    start_on_postgres, start_on_postgres_checked, start_on_sqlite, start_on_sqlite_checked,
    start_on_sqlite_with,
};
pub use crate::view::{SaleView, SaleViews};
