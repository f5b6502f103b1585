//! The auditor's findings in the judge's words: the promises as far as the ledger alone can show them. It adds nothing to
//! what the auditor finds, except the buyer that it concerns.

use super::{PromiseFinding, PromiseOffence};
use sale::{BuyerId, Event, LedgerAuditor, LedgerEntry, OrderId, SalePromise};

/// The auditor, and the buyers of the first offences.
#[derive(Debug, Default)]
pub(super) struct JudgeAudit {
    auditor: LedgerAuditor,
    broken: usize,
    subjects: Vec<(SalePromise, Option<BuyerId>, Option<OrderId>)>,
}

impl JudgeAudit {
    pub(super) fn read(&mut self, entry: &LedgerEntry) {
        self.auditor.read_entry(entry);
        if self.auditor.is_clean() {
            return;
        }
        let broken = self.auditor.first_offences().count();
        if broken > self.broken {
            self.broken = broken;
            let (buyer, order) = event_subject(&entry.event);
            let new = self.auditor.first_offences().filter(|broken| broken.seq == entry.seq);
            self.subjects.extend(new.map(|broken| (broken.promise, buyer, order)));
        }
    }

    pub(super) fn findings(&self) -> Vec<PromiseFinding> {
        SalePromise::ALL.iter().map(|promise| self.finding(*promise)).collect()
    }

    fn finding(&self, promise: SalePromise) -> PromiseFinding {
        let about = self.subjects.iter().find(|(broken, ..)| *broken == promise);
        let first = self.auditor.first_offences().find(|broken| broken.promise == promise).map(|broken| {
            PromiseOffence {
                buyer: about.and_then(|(_, buyer, _)| *buyer),
                order: about.and_then(|(_, _, order)| *order),
                event: Some(broken.seq),
                detail: broken.detail.clone(),
            }
        });
        PromiseFinding {
            name: promise.name(),
            sentence: promise.sentence(),
            checked: self.auditor.check_count(promise),
            broken: self.auditor.offence_count(promise),
            first,
        }
    }
}

/// The buyer of an event.
fn event_subject(event: &Event) -> (Option<BuyerId>, Option<OrderId>) {
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
        | Event::PaymentBegun { buyer, order, .. }
        | Event::PaymentEnded { buyer, order, .. }
        | Event::Released { buyer, order, .. }
        | Event::Refunded { buyer, order, .. } => (Some(buyer), Some(order)),
    }
}
