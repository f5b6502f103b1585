//! What sends events to other systems: Kafka, webhooks, mail. A receiver says where it begins and how a batch of documents is delivered.
//! Who reads the ledger, the payments and the clock, who keeps the offsets and who retries is not its concern: [`super::event_follower`]
//! does that.

use super::backoff::BackoffLimits;
use super::follower::{FollowerError, FollowerPace};
use crate::shop::published_events::PublishedEvent;
use crate::store::{Store, StoreTransaction};
use sale::SaleId;
use std::time::Duration;

/// A receiver of events. It gets each event at least once: in order within a sale, and in order per payment. The steps of payments are
/// not in order with the events of their sale.
///
/// A batch is first given to [`EventReceiver::deliver`], then to [`EventReceiver::record`] in the transaction that commits its offset. A
/// receiver that calls another system implements the first and may get a batch again after a crash; one that writes rows implements the
/// second and never writes a batch twice, unless the ledger was set back or the follower was rewound: so rows have a unique key with the
/// id of the event.
pub trait EventReceiver: Send + 'static {
    /// The name of its offsets, its lock and its metrics.
    const NAME: &'static str;
    /// Where it begins when it is switched on for the first time.
    const START: ReceiverStart;
    /// How it works.
    const PACE: FollowerPace = EVENT_PACE;

    /// Events of the ledger, or steps of payments, of which the next batch is made at most. It is not more than [`Self::PACE`] says.
    fn batch_len(&self) -> usize {
        Self::PACE.batch_len_max
    }

    /// Sends a batch to another system. The offset is committed when this has returned. It may read `tables`, which are the tables by the
    /// follower's own connection.
    ///
    /// # Errors
    /// When not all of them are delivered: the batch is delivered again later.
    fn deliver(
        &mut self,
        _tables: &Store,
        _events: &[PublishedEvent],
    ) -> impl Future<Output = Result<(), FollowerError>> {
        async { Ok(()) }
    }

    /// Writes rows in the transaction that commits the offset. It commits nothing itself.
    ///
    /// # Errors
    /// When the tables cannot be written: the batch is delivered again later.
    fn record(
        &mut self,
        _writing: &mut StoreTransaction,
        _events: &[PublishedEvent],
    ) -> impl Future<Output = Result<(), FollowerError>> {
        async { Ok(()) }
    }

    /// Drops what waits of a sale, because its ledger was set back or the follower was rewound to its beginning: what the ledger has is
    /// delivered again. It commits nothing itself.
    ///
    /// # Errors
    /// When the tables cannot be written: it is called again later.
    fn restart_sale(
        &mut self,
        _writing: &mut StoreTransaction,
        _sale: SaleId,
    ) -> impl Future<Output = Result<(), FollowerError>> {
        async { Ok(()) }
    }

    /// Called when rows of [`EventReceiver::record`] are committed.
    fn handle_recorded(&mut self) {}
}

/// Where a receiver begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiverStart {
    /// With the first event of each sale, and the oldest step of a payment that is kept.
    Beginning,
    /// With what happens from then on. Sales that are announced later are read from their first event.
    Present,
}

/// How receivers work unless they say otherwise: beside purchases at a low priority, with a rest of as much time as they worked.
pub const EVENT_PACE: FollowerPace = FollowerPace {
    batch_len_max: 500,
    rest_factor: 1,
    rest_min: Duration::from_millis(20),
    // The clock and the payments send no notification, so the follower looks for itself.
    idle_max: Duration::from_millis(250),
    nice: 10,
    backoff: BackoffLimits { first: Duration::from_secs(1), max: Duration::from_secs(300) },
};
