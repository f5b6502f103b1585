//! A sale as far as its events are published: what later documents need of earlier events. Its size does not depend on the number of
//! events. A receiver keeps it beside its offset, so that it never reads a ledger from the beginning again.

use super::SaleNames;
use engine::SaleView;
use sale::{Event, EventSeq, LedgerEntry, Policy, SaleCounters, SalePhase, Timestamp};
use serde::{Deserialize, Serialize};

/// A sale after some of its events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SaleFold {
    seq: EventSeq,
    /// `None` before the announcement. Its quantity is in the counters.
    policy: Option<Policy>,
    #[serde(with = "StoredCounters")]
    counters: SaleCounters,
    is_closed: bool,
    /// The start that was published last.
    started_at: Option<Timestamp>,
    /// The end that was published last.
    ended_at: Option<Timestamp>,
    names: Option<SaleNames>,
}

/// The stored text is none of this version.
#[derive(Debug, thiserror::Error)]
#[error("the stored state of a sale cannot be read")]
pub struct StoredFoldError(#[from] serde_json::Error);

/// [`SaleCounters`], field by field.
#[derive(Serialize, Deserialize)]
#[serde(remote = "SaleCounters")]
struct StoredCounters {
    quantity: u32,
    available: u32,
    admitted: u32,
    held: u32,
    sold: u32,
    waiting: u32,
    short: u32,
}

impl SaleFold {
    /// A sale as it is published now: what has started or ended by `now` is not published again.
    #[must_use]
    pub fn from_view(view: &SaleView, now: Timestamp) -> Self {
        let policy = Policy::clone(&view.policy);
        let is_due = |moment: Timestamp| (moment <= now).then_some(moment);
        Self {
            seq: view.seq,
            counters: view.counters,
            is_closed: view.phase(now) == SalePhase::Closed,
            started_at: is_due(policy.starts_at),
            ended_at: is_due(policy.ends_at),
            policy: Some(policy),
            names: None,
        }
    }

    /// The last event in it.
    #[must_use]
    pub fn seq(&self) -> EventSeq {
        self.seq
    }

    /// What the sale promises; `None` before the announcement.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// What it is called when it is not listed.
    #[must_use]
    pub fn names(&self) -> Option<&SaleNames> {
        self.names.as_ref()
    }

    pub fn set_names(&mut self, names: SaleNames) {
        self.names = Some(names);
    }

    /// Folds an event that was published before: what the clock did before it was published, too.
    pub fn fold_published(&mut self, entry: &LedgerEntry) {
        while let Some((moment, _)) = self.next_moment(entry.at) {
            self.mark_published(moment);
        }
        self.apply_event(entry);
    }

    /// Text for the tables.
    ///
    /// # Errors
    /// Never: each part of it can be written.
    pub fn to_text(&self) -> Result<String, StoredFoldError> {
        Ok(serde_json::to_string(self)?)
    }

    /// Reads the text of [`SaleFold::to_text`].
    ///
    /// # Errors
    /// When it is the text of another version.
    pub fn from_text(text: &str) -> Result<Self, StoredFoldError> {
        Ok(serde_json::from_str(text)?)
    }

    pub(super) fn apply_event(&mut self, entry: &LedgerEntry) {
        self.seq = entry.seq;
        self.counters.apply(&entry.event);
        match &entry.event {
            Event::Configured { policy } => self.policy = Some(Policy::clone(policy)),
            Event::Closed => self.is_closed = true,
            _ => {}
        }
    }

    pub(super) fn sale_counters(&self) -> SaleCounters {
        self.counters
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn published_moments(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.started_at, self.ended_at)
    }

    pub(super) fn set_started(&mut self, at: Timestamp) {
        self.started_at = Some(at);
    }

    pub(super) fn set_ended(&mut self, at: Timestamp) {
        self.ended_at = Some(at);
    }
}
