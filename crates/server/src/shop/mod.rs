//! What one can do in the shop: one function per use case, whoever calls it. It never speaks HTTP and never reads settings.

pub mod line;
pub mod orders;
pub mod payments;

pub mod accounts;
pub mod products;
pub mod sales;

pub mod all_orders;
pub mod board;
pub mod events;
pub mod live;
pub mod series;
pub mod summary;

pub mod attempts;
pub mod catalogue;
pub mod ids;
pub mod keys;
pub mod lag;
pub mod neighbours;
pub mod projected;
pub mod projection;
pub mod receipts;
pub mod sharing;
pub mod words;

use crate::clock::Now;
use crate::store::Store;
use engine::Engine;
use std::sync::Arc;

/// All that a use case works with.
pub struct Shop {
    /// What the time is: the engine's, so that all parts of the house agree.
    pub now: Now,
    /// Who decides and records.
    pub engine: Engine,
    /// The tables.
    pub store: Store,
    /// Who else works on them.
    pub sharing: sharing::Sharing,
    /// Which sales there are.
    pub catalogue: catalogue::Catalogue,
    /// How far the tables follow the ledger.
    pub projected: projected::Projected,
    /// How much that is behind.
    pub lag: lag::Lag,
    /// Where refusals are told.
    pub attempts: attempts::Attempts,
    /// What takes payments.
    pub payments: Arc<payments::Payments>,
    /// The keys of requests.
    pub keys: Arc<keys::KeyGuard>,
    /// Proofs of places in line.
    pub receipts: receipts::Receipts,
    /// What sales came to, as it was last read.
    pub summaries: summary::Summaries,
    /// Who people are.
    pub accounts: accounts::Accounts,
}
