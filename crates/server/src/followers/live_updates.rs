//! The local follower for live updates: reads the ledger a few times a second and hands the events to the socket hub. When the
//! hub is slow the follower waits, then continues from its offset. It keeps no event, and it knows no socket.

use super::backoff::BackoffLimits;
use super::follower::{FollowerError, FollowerPace, LocalFollower, SaleInterest};
use crate::shop::live_updates::{SaleEvents, SubscriberCount};
use crate::telemetry::metrics::Counter;
use engine::record::ReadError;
use engine::{Engine, SaleView};
use sale::{EventSeq, LedgerEntry, SaleId, SalePhase};
use std::time::Duration;
use tokio::sync::mpsc;

pub const FOLLOWER_NAME: &str = "live_updates";

/// Updates of one buyer are late by `rest_min` at most.
pub const PACE: FollowerPace = FollowerPace {
    batch_len_max: 1024,
    rest_factor: 0,
    rest_min: Duration::from_millis(100),
    idle_max: Duration::from_secs(60),
    nice: 0,
    backoff: BackoffLimits::OWN_STORES,
};

pub struct LiveUpdates {
    pub engine: Engine,
    /// Without subscribers nothing is read.
    pub subscribers: SubscriberCount,
    pub events: mpsc::Sender<SaleEvents>,
    /// Counts the events that were read.
    pub followed: Counter,
}

impl LocalFollower for LiveUpdates {
    const NAME: &'static str = FOLLOWER_NAME;

    /// At the present, because a subscriber gets a snapshot first; but a line from its beginning, because positions are counted
    /// from there.
    async fn find_start(&mut self, view: &SaleView, is_startup: bool) -> Result<EventSeq, ReadError> {
        Ok(if is_startup && !self.has_line(view) { view.seq } else { EventSeq(0) })
    }

    fn filter_sale(&self, view: &SaleView) -> SaleInterest {
        if self.subscribers.has_subscribers() {
            SaleInterest::Read
        } else if self.has_line(view) {
            SaleInterest::Defer
        } else {
            SaleInterest::Skip
        }
    }

    async fn wait_for_interest(&self) {
        self.subscribers.wait_for_first().await;
    }

    async fn deliver(&mut self, sale: SaleId, entries: Vec<LedgerEntry>) -> Result<(), FollowerError> {
        self.followed.inc_by(entries.len() as u64);
        let events = SaleEvents { sale, entries };
        self.events.send(events).await.map_err(|_| FollowerError::ReceiverGone)
    }
}

impl LiveUpdates {
    /// Whether buyers move on in a line of this sale.
    fn has_line(&self, view: &SaleView) -> bool {
        let is_over = matches!(view.phase(self.engine.now()), SalePhase::Ended | SalePhase::Closed);
        view.policy.line_opens_at().is_some() && !is_over
    }
}
