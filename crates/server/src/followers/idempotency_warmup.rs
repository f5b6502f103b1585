//! The local follower for idempotency keys: it reads with which keys orders were made in the last day. [`IdempotencyKeys`] is
//! empty after a start and sees only the requests of its own process, and a sale's ledger does not know the keys of another
//! sale. Where other processes make orders too, it keeps reading theirs; otherwise it stops at the first catch-up.

use super::backoff::BackoffLimits;
use super::follower::{FollowerError, FollowerPace, LocalFollower, SaleInterest};
use super::reader::find_event_before;
use crate::shop::idempotency_keys::{IdempotencyKeys, KEY_LIFE_MS};
use crate::shop::tenancy::Tenancy;
use engine::record::ReadError;
use engine::{Engine, SaleView};
use sale::{Event, EventSeq, LedgerEntry, SaleId};
use std::sync::Arc;
use std::time::Duration;

pub const FOLLOWER_NAME: &str = "idempotency_warmup";

const BATCH_LEN_MAX: usize = 4_096;

/// A key that another process has seen is known here `rest_min` later.
pub const PACE: FollowerPace = FollowerPace {
    batch_len_max: BATCH_LEN_MAX,
    rest_factor: 0,
    rest_min: Duration::from_millis(200),
    idle_max: Duration::from_secs(60),
    nice: 0,
    backoff: BackoffLimits::OWN_STORES,
};

pub struct IdempotencyWarmup {
    engine: Engine,
    keys: Arc<IdempotencyKeys>,
    tenancy: Tenancy,
    is_caught_up: bool,
}

impl IdempotencyWarmup {
    #[must_use]
    pub fn new(engine: Engine, keys: Arc<IdempotencyKeys>, tenancy: Tenancy) -> Self {
        Self { engine, keys, tenancy, is_caught_up: false }
    }
}

impl LocalFollower for IdempotencyWarmup {
    const NAME: &'static str = FOLLOWER_NAME;

    /// A little before the last day.
    async fn find_start(&mut self, view: &SaleView, _is_startup: bool) -> Result<EventSeq, ReadError> {
        let since = self.engine.now().plus_ms(-KEY_LIFE_MS);
        find_event_before(&self.engine, view.id, view.seq, since, BATCH_LEN_MAX as u64).await
    }

    fn filter_sale(&self, _view: &SaleView) -> SaleInterest {
        if self.is_caught_up && !self.tenancy.is_cluster() { SaleInterest::Skip } else { SaleInterest::Read }
    }

    async fn deliver(&mut self, sale: SaleId, entries: Vec<LedgerEntry>) -> Result<(), FollowerError> {
        for entry in entries {
            if let Event::Held { buyer, quantity, key: Some(key), .. }
            | Event::Confirmed { buyer, quantity, key: Some(key), .. } = entry.event
            {
                self.keys.remember(buyer, key, self.keys.fingerprint((sale, quantity)), entry.at);
            }
        }
        Ok(())
    }

    fn handle_catch_up(&mut self) {
        self.is_caught_up = true;
    }
}
