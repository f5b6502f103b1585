//! What `doorbuster verify` finds, sale by sale. The books of one sale are open at a time: memory is bounded by the buyers
//! and orders of the largest sale, and a few hundred bytes for each of the others. It never prints.

use super::tables;
use crate::store::sums::Sums;
use engine::record::sqlite::TornEnd;
use engine::record::{Page, ReadError};
use sale::audit::{Auditor, Promise};
use sale::{Broken, Counters, SaleId, Seq};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// All that was found.
pub(super) struct Findings {
    pub(super) sales: BTreeMap<SaleId, Sale>,
    /// By promise, in the order of [`Promise::ALL`].
    pub(super) tallies: [Tally; Promise::ALL.len()],
    /// The earliest offence of the first sale that has one.
    pub(super) first: Option<Offence>,
    /// Ends that a power loss explains, and that the next start sets aside.
    pub(super) torn: Vec<Torn>,
    pub(super) damage: Option<ReadError>,
    /// How the tables differ from the ledger.
    pub(super) differences: BTreeMap<SaleId, String>,
}

/// One promise, over all sales.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// How often it was looked at.
    pub(super) checked: u64,
    /// How often it was broken.
    pub(super) broken: u64,
    pub(super) first: Option<Offence>,
}

/// A broken promise, and where.
#[derive(Clone, Debug)]
pub(super) struct Offence {
    pub(super) sale: SaleId,
    pub(super) broken: Broken,
}

/// What was found in one sale's ledger.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sale {
    pub(super) events: u64,
    pub(super) counters: Counters,
    pub(super) tables: Lag,
    /// How often promises were broken.
    pub(super) broken: u64,
}

/// An end that is not as it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Torn {
    pub(super) end: TornEnd,
    /// True when the tables have events of it: then it was on the disk, and whoever asked for it may have been told.
    pub(super) is_in_tables: bool,
}

/// Where the tables are, compared with the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lag {
    /// They know nothing of the sale.
    #[default]
    NoneYet,
    Complete,
    /// So many events are still to be written.
    Behind(u64),
    /// They show so many events that the ledger does not have.
    Ahead(u64),
}

impl Findings {
    /// True when every promise is kept. A torn end breaks none, unless the tables have it, which is a difference.
    pub(super) fn all_is_well(&self) -> bool {
        self.damage.is_none()
            && self.differences.is_empty()
            && self.tallies.iter().all(|tally| tally.broken == 0)
    }

    pub(super) fn events(&self) -> u64 {
        self.sales.values().map(|sale| sale.events).sum()
    }

    pub(super) fn torn_rows(&self) -> u64 {
        self.torn.iter().map(|torn| torn.end.rows).sum()
    }

    /// True when something is to be said of this sale in any case.
    pub(super) fn is_remarkable(&self, id: SaleId) -> bool {
        self.sales.get(&id).is_some_and(|sale| sale.broken > 0)
            || self.differences.contains_key(&id)
            || self.torn.iter().any(|torn| torn.end.sale == id)
    }
}

/// The reading of a ledger beside its tables.
pub(super) struct Reading {
    tables: BTreeMap<SaleId, Sums>,
    books: Option<Books>,
    /// The last event of every sale that was read, and the sums as of the event that the tables are at.
    ends: BTreeMap<SaleId, (Seq, Option<Counters>)>,
    findings: Findings,
}

/// The sale that is being read.
struct Books {
    sale: SaleId,
    auditor: Auditor,
    /// The event that the tables are at.
    tables_at: Option<Seq>,
    last: Seq,
    /// The auditor's sums when it had read as far as the tables.
    at_tables: Option<Counters>,
}

impl Reading {
    pub(super) fn new(tables: BTreeMap<SaleId, Sums>, damage: Option<ReadError>) -> Self {
        let findings = Findings {
            sales: BTreeMap::new(),
            tallies: Default::default(),
            first: None,
            torn: Vec::new(),
            damage,
            differences: BTreeMap::new(),
        };
        Self { tables, books: None, ends: BTreeMap::new(), findings }
    }

    /// Reads on. A sale whose pages are followed by another's has come to its end.
    pub(super) fn read(&mut self, page: &Page) {
        if self.books.as_ref().is_some_and(|books| books.sale != page.sale) {
            self.close();
        }
        let tables = &self.tables;
        let books = self.books.get_or_insert_with(|| Books {
            sale: page.sale,
            auditor: Auditor::new(),
            tables_at: tables.get(&page.sale).map(|tables| tables.seq),
            last: Seq(0),
            at_tables: None,
        });
        for entry in &page.entries {
            books.auditor.feed(entry);
            books.last = entry.seq;
            if books.tables_at == Some(entry.seq) {
                books.at_tables = Some(books.auditor.counters());
            }
        }
    }

    /// Notes damage; the first one counts.
    pub(super) fn damaged(&mut self, damage: ReadError) {
        self.findings.damage.get_or_insert(damage);
    }

    /// Everything was read, but for the torn ends.
    pub(super) fn end(mut self, torn: Vec<TornEnd>) -> Findings {
        self.close();
        let torn = torn.into_iter().map(|end| {
            let is_in_tables = self.tables.get(&end.sale).is_some_and(|tables| tables.seq >= end.from);
            Torn { end, is_in_tables }
        });
        self.findings.torn = torn.collect();
        self.compare();
        self.findings
    }

    /// Writes the sums of the sale that was read, and lets go of its books.
    fn close(&mut self) {
        let Some(Books { sale, auditor, tables_at, last, at_tables }) = self.books.take() else {
            return;
        };
        let tables = tables_at.map_or(Lag::NoneYet, |at| match at.cmp(&last) {
            Ordering::Equal => Lag::Complete,
            Ordering::Less => Lag::Behind(last.0 - at.0),
            Ordering::Greater => Lag::Ahead(at.0 - last.0),
        });
        let findings = &mut self.findings;
        let broken = Promise::ALL.iter().map(|promise| auditor.count_of(*promise)).sum();
        let summary = Sale { events: auditor.entries(), counters: auditor.counters(), tables, broken };
        findings.sales.insert(sale, summary);
        self.ends.insert(sale, (last, at_tables));
        for (promise, tally) in Promise::ALL.iter().zip(&mut findings.tallies) {
            tally.checked += auditor.checks_of(*promise);
            tally.broken += auditor.count_of(*promise);
        }
        for broken in auditor.broken() {
            let tally = &mut findings.tallies[broken.promise as usize];
            tally.first.get_or_insert_with(|| Offence { sale, broken: broken.clone() });
        }
        if let Some(earliest) = auditor.broken().min_by_key(|broken| broken.seq) {
            findings.first.get_or_insert_with(|| Offence { sale, broken: earliest.clone() });
        }
    }

    fn compare(&mut self) {
        for (id, tables) in &self.tables {
            let (last, counters) = self.ends.get(id).copied().unwrap_or_default();
            // Where the ledger could not be read to its end, it does not say that the tables are ahead of it.
            if self.findings.damage.is_some() && counters.is_none() {
                continue;
            }
            if let Some(difference) = tables::difference(tables, last, counters) {
                self.findings.differences.insert(*id, difference);
            }
        }
    }
}
