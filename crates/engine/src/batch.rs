//! What a decider hands to a recorder: a batch of events, the calls in which they were decided, and the epochs under which they
//! count. Plain data: nothing here decides, records or answers.

use sale::{EventSeq, LedgerEntry, SaleId};

/// Events that were decided together and are recorded together, grouped by sale; within a sale in order of `seq`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The new events of each sale.
    pub sales: Vec<(SaleId, Vec<LedgerEntry>)>,
    /// The calls that decided them, when a server outside of this process decides; empty otherwise.
    pub calls: Vec<Call>,
}

impl Batch {
    #[must_use]
    pub fn len(&self) -> usize {
        self.sales.iter().map(|(_, entries)| entries.len()).sum()
    }

    /// True when there is nothing to record and no answer depends on an earlier event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.sales.iter().all(|(_, entries)| entries.is_empty())
    }
}

/// A call to a decision store. Its events count only under the epoch in which they were decided, and stay in the server's outbox until
/// they are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub sale: SaleId,
    /// The epoch of the state that it decided from.
    pub epoch: Epoch,
    /// The sale's last event before it: its answers depend on all events up to this one.
    pub before: EventSeq,
    /// The last of its events; `before` where it decided none.
    pub last: EventSeq,
}

/// Counts how often a sale's state was restored in a decision store. Events that were decided from an earlier state are not
/// recorded any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A sale of a batch that was decided under an epoch that is over. Nothing more of it will be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleEpoch {
    pub sale: SaleId,
    /// The epoch that is over, or that is not to be continued.
    pub epoch: Epoch,
    /// The last of the batch's events of this sale that is in the ledger, or the event before the batch; the later ones never will
    /// be. `None` while that is not settled.
    pub last_recorded: Option<EventSeq>,
}
