//! The auditor's findings in the judge's words: the promises as far as the ledger alone can show them. It adds nothing to
//! what the auditor finds but the name of whom it concerns.

use super::{Finding, Offence};
use sale::{Auditor, BuyerId, Entry, Event, OrderId, Promise};

/// The auditor, and whom the first offences were about.
#[derive(Debug, Default)]
pub(super) struct Audit {
    auditor: Auditor,
    broken: usize,
    about: Vec<(Promise, Option<BuyerId>, Option<OrderId>)>,
}

impl Audit {
    pub(super) fn read(&mut self, entry: &Entry) {
        self.auditor.feed(entry);
        if self.auditor.is_clean() {
            return;
        }
        let broken = self.auditor.broken().count();
        if broken > self.broken {
            self.broken = broken;
            let (buyer, order) = whose(&entry.event);
            let new = self.auditor.broken().filter(|broken| broken.seq == entry.seq);
            self.about.extend(new.map(|broken| (broken.promise, buyer, order)));
        }
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        Promise::ALL.iter().map(|promise| self.finding(*promise)).collect()
    }

    fn finding(&self, promise: Promise) -> Finding {
        let about = self.about.iter().find(|(broken, ..)| *broken == promise);
        let first = self.auditor.broken().find(|broken| broken.promise == promise).map(|broken| Offence {
            buyer: about.and_then(|(_, buyer, _)| *buyer),
            order: about.and_then(|(_, _, order)| *order),
            event: Some(broken.seq),
            detail: broken.detail.clone(),
        });
        Finding {
            name: promise.name(),
            sentence: promise.sentence(),
            checked: self.auditor.checks_of(promise),
            broken: self.auditor.count_of(promise),
            first,
        }
    }
}

/// Whom an event is about.
fn whose(event: &Event) -> (Option<BuyerId>, Option<OrderId>) {
    match *event {
        Event::Configured { .. }
        | Event::Paused
        | Event::Resumed
        | Event::Closed
        | Event::Restocked { .. } => (None, None),
        Event::Joined { buyer, .. }
        | Event::Left { buyer, .. }
        | Event::Admitted { buyer, .. }
        | Event::Lapsed { buyer, .. }
        | Event::Extended { buyer, .. } => (Some(buyer), None),
        Event::Held { buyer, order, .. }
        | Event::Confirmed { buyer, order, .. }
        | Event::Released { buyer, order, .. }
        | Event::Refunded { buyer, order, .. } => (Some(buyer), Some(order)),
    }
}
