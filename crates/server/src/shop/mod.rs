//! What one can do in the shop: one function per use case, whoever calls it. It never speaks HTTP and never reads settings.

pub mod line;
pub mod orders;
pub mod payments;

pub mod accounts;
pub mod products;
pub mod sales;

pub mod all_orders;
pub mod dashboard;
pub mod events;
pub mod live_updates;
pub mod series;
pub mod summary;

pub mod attempts;
pub mod catalogue;
pub mod catalogue_text;
pub mod follower_lag;
pub mod follower_progress;
pub mod followers;
pub mod idempotency_keys;
pub mod ids;
pub mod peer_changes;
pub mod projection;
pub mod receipts;
pub mod tenancy;

use crate::clock::TimeSource;
use crate::store::Store;
use engine::Engine;
use std::sync::Arc;

/// All that a use case works with.
pub struct Shop {
    /// What the time is: the engine's, so that all parts of the house agree.
    pub now: TimeSource,
    /// Who decides and records.
    pub engine: Engine,
    pub store: Store,
    /// Who else works on them.
    pub tenancy: tenancy::Tenancy,
    /// Which sales there are.
    pub catalogue: catalogue::SaleCatalogue,
    /// How far the tables follow the ledger.
    pub projected: follower_progress::FollowerProgress,
    /// How much that is behind.
    pub lag: follower_lag::FollowerLag,
    /// Where refusals are told.
    pub attempts: attempts::AttemptBuffer,
    pub payments: Arc<payments::PaymentService>,
    /// The keys of requests.
    pub keys: Arc<idempotency_keys::IdempotencyKeys>,
    /// Proofs of places in line.
    pub receipts: receipts::ReceiptSigner,
    /// What sales came to, as it was last read.
    pub summaries: summary::SummaryCache,
    pub accounts: accounts::AccountService,
}
