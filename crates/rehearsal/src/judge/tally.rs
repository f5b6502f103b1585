//! Counts checks and offences of a promise, and keeps the first offence. It never decides what an offence is.

use super::{PromiseFinding, PromiseOffence};
use sale::{BuyerId, EventSeq, OrderId};

/// The count for one promise.
#[derive(Clone, Debug, Default)]
pub(super) struct JudgeTally {
    checked: u64,
    broken: u64,
    first: Option<PromiseOffence>,
}

impl JudgeTally {
    /// Counts one check, and an offence when the promise does not hold.
    pub(super) fn check(&mut self, holds: bool, offence: impl FnOnce() -> PromiseOffence) {
        self.checked += 1;
        if !holds {
            self.broken += 1;
            self.first.get_or_insert_with(offence);
        }
    }

    /// Takes over what was counted elsewhere.
    pub(super) fn add(&mut self, other: &Self) {
        self.checked += other.checked;
        self.broken += other.broken;
        if self.first.is_none() {
            self.first.clone_from(&other.first);
        }
    }

    pub(super) fn to_finding(&self, name: &'static str, sentence: &'static str) -> PromiseFinding {
        PromiseFinding {
            name,
            sentence,
            checked: self.checked,
            broken: self.broken,
            first: self.first.clone(),
        }
    }
}

impl PromiseOffence {
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Self { buyer: None, order: None, event: None, detail: detail.into() }
    }

    pub(super) fn buyer(self, buyer: BuyerId) -> Self {
        Self { buyer: Some(buyer), ..self }
    }

    pub(super) fn order(self, order: impl Into<Option<OrderId>>) -> Self {
        Self { order: order.into(), ..self }
    }

    pub(super) fn event(self, event: impl Into<Option<EventSeq>>) -> Self {
        Self { event: event.into(), ..self }
    }
}
