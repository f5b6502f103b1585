//! What `doorbuster verify` finds, sale by sale. It audits one sale at a time: memory is bounded by the buyers
//! and orders of the largest sale, a few hundred bytes for each of the others, and some 40 bytes for each captured payment. It never
//! prints.

use super::tables;
use crate::store::payments::CapturedPayments;
use crate::store::table_totals::ProjectedTotals;
use engine::record::sqlite::TornTail;
use engine::record::{LedgerPage, ReadError};
use rehearsal::report::format::counted;
use sale::audit::{LedgerAuditor, SalePromise};
use sale::{BrokenPromise, Event, EventSeq, OrderId, SaleCounters, SaleId};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// All that was found.
pub(super) struct VerifyFindings {
    pub(super) sales: BTreeMap<SaleId, SaleFindings>,
    /// By promise, in the order of [`SalePromise::ALL`].
    pub(super) tallies: [PromiseCount; SalePromise::ALL.len()],
    /// The earliest offence of the first sale that has one.
    pub(super) first: Option<SaleViolation>,
    /// Ends that a power loss explains, and that the next start moves into the table `torn`.
    pub(super) torn: Vec<TornEndFinding>,
    pub(super) damage: Option<ReadError>,
    /// Sales that were read only as far as they are intact.
    pub(super) damaged_sales: BTreeMap<SaleId, DamagedSale>,
    /// The ledger is missing or empty beside tables that only a ledger can have caused.
    pub(super) ledger_loss: Option<String>,
    /// The file of the tables is malformed, or its rows cannot be read.
    pub(super) table_damage: Option<String>,
    /// Captured payments whose orders the ledger has neither as confirmed nor as refunded, by sale and id.
    pub(super) orphan_payments: Vec<OrphanPayment>,
    /// How the tables differ from the ledger.
    pub(super) differences: BTreeMap<SaleId, String>,
    /// What a reader should know and what breaks no promise.
    pub(super) notes: Vec<String>,
}

/// One promise, over all sales.
#[derive(Clone, Debug, Default)]
pub(super) struct PromiseCount {
    /// How often it was checked.
    pub(super) checked: u64,
    /// How often it was broken.
    pub(super) broken: u64,
    pub(super) first: Option<SaleViolation>,
}

/// A broken promise, and where.
#[derive(Clone, Debug)]
pub(super) struct SaleViolation {
    pub(super) sale: SaleId,
    pub(super) broken: BrokenPromise,
}

/// What was found in one sale's ledger.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SaleFindings {
    pub(super) events: u64,
    pub(super) counters: SaleCounters,
    pub(super) tables: TableProgress,
    /// How often promises were broken.
    pub(super) broken: u64,
}

/// A payment whose money was taken for an order that the ledger does not have as confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OrphanPayment {
    pub(super) sale: SaleId,
    pub(super) payment: Uuid,
    pub(super) order: OrderId,
}

/// A sale with an event that cannot be read.
#[derive(Clone, Debug)]
pub(super) struct DamagedSale {
    /// The last event that was read.
    pub(super) intact_to: EventSeq,
    /// The event that is damaged, if that is known, and what is wrong with it.
    pub(super) damaged_at: Option<EventSeq>,
    pub(super) what: String,
}

/// An end that is not as it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct TornEndFinding {
    pub(super) end: TornTail,
    /// True when the tables have events of it: then it was on the disk, and its callers may have had a reply.
    pub(super) is_in_tables: bool,
}

/// Where the tables are, compared with the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TableProgress {
    /// They know nothing of the sale.
    #[default]
    Missing,
    Complete,
    /// So many events are still to be written.
    Behind(u64),
    /// They show so many events that the ledger does not have.
    Ahead(u64),
}

impl VerifyFindings {
    /// True when every promise is kept. A torn end breaks none, unless the tables have it, which is a difference.
    pub(super) fn is_clean(&self) -> bool {
        self.damage.is_none()
            && self.ledger_loss.is_none()
            && self.table_damage.is_none()
            && self.differences.is_empty()
            && self.orphan_payments.is_empty()
            && self.tallies.iter().all(|tally| tally.broken == 0)
    }

    pub(super) fn events(&self) -> u64 {
        self.sales.values().map(|sale| sale.events).sum()
    }

    pub(super) fn torn_rows(&self) -> u64 {
        self.torn.iter().map(|torn| torn.end.rows).sum()
    }

    /// Notes what the tables lack: `listed` are the sales that have a row, `None` is for no tables at all.
    pub(super) fn note_lost_rows(&mut self, listed: Option<&HashSet<SaleId>>) {
        let lost =
            self.sales.keys().filter(|sale| listed.is_none_or(|listed| !listed.contains(sale))).count();
        if lost == 0 {
            return;
        }
        let next = "the next start lists them again under new names; accounts, products and payments are in no ledger";
        let sales = counted(lost as u64, "sale");
        self.notes.push(match listed {
            None => format!("there are no tables beside a ledger with {sales}; {next}: restore shop.db from a backup if there is one"),
            Some(_) => format!("the tables lack {sales} that the ledger has; {next}"),
        });
    }

    /// True when something is to be said of this sale in any case.
    pub(super) fn is_remarkable(&self, id: SaleId) -> bool {
        self.sales.get(&id).is_some_and(|sale| sale.broken > 0)
            || self.differences.contains_key(&id)
            || self.damaged_sales.contains_key(&id)
            || self.torn.iter().any(|torn| torn.end.sale == id)
    }
}

/// The reading of a ledger beside its tables.
pub(super) struct VerifyRun {
    tables: BTreeMap<SaleId, ProjectedTotals>,
    /// The captured payments whose orders were not met yet.
    captured: CapturedPayments,
    open_sale: Option<SaleAudit>,
    /// The last event of every sale that was read, and the counters at the event that the tables are at.
    ends: BTreeMap<SaleId, (EventSeq, Option<SaleCounters>)>,
    findings: VerifyFindings,
}

/// The sale that is being read.
struct SaleAudit {
    sale: SaleId,
    auditor: LedgerAuditor,
    /// The event that the tables are at.
    tables_at: Option<EventSeq>,
    last: EventSeq,
    /// The auditor's counters when it had read as far as the tables.
    at_tables: Option<SaleCounters>,
}

impl VerifyRun {
    pub(super) fn new(tables: BTreeMap<SaleId, ProjectedTotals>, damage: Option<ReadError>) -> Self {
        let findings = VerifyFindings {
            sales: BTreeMap::new(),
            tallies: Default::default(),
            first: None,
            torn: Vec::new(),
            damage,
            damaged_sales: BTreeMap::new(),
            ledger_loss: None,
            table_damage: None,
            orphan_payments: Vec::new(),
            differences: BTreeMap::new(),
            notes: Vec::new(),
        };
        let captured = CapturedPayments::new();
        Self { tables, captured, open_sale: None, ends: BTreeMap::new(), findings }
    }

    /// Looks for the orders of these payments as well.
    pub(super) fn with_payments(self, captured: CapturedPayments) -> Self {
        Self { captured, ..self }
    }

    /// Reads on. A sale whose pages are followed by another's has come to its end.
    pub(super) fn read_page(&mut self, page: &LedgerPage) {
        if self.open_sale.as_ref().is_some_and(|audit| audit.sale != page.sale) {
            self.close_sale();
        }
        let tables = &self.tables;
        let audit = self.open_sale.get_or_insert_with(|| SaleAudit {
            sale: page.sale,
            auditor: LedgerAuditor::new(),
            tables_at: tables.get(&page.sale).map(|tables| tables.seq),
            last: EventSeq(0),
            at_tables: None,
        });
        let mut captured = self.captured.get_mut(&page.sale);
        for entry in &page.entries {
            if let (Some(captured), Event::Confirmed { order, .. } | Event::Refunded { order, .. }) =
                (&mut captured, &entry.event)
            {
                captured.remove(order);
            }
            audit.auditor.read_entry(entry);
            audit.last = entry.seq;
            if audit.tables_at == Some(entry.seq) {
                audit.at_tables = Some(audit.auditor.counters());
            }
        }
    }

    /// Notes damage; the first one counts.
    pub(super) fn record_damage(&mut self, damage: ReadError) {
        self.findings.damage.get_or_insert(damage);
    }

    /// The last event of a sale that was read; `None` when the sale was read to its end.
    pub(super) fn find_last_read(&self, sale: SaleId) -> Option<EventSeq> {
        match &self.open_sale {
            Some(audit) if audit.sale == sale => Some(audit.last),
            _ if self.ends.contains_key(&sale) => None,
            _ => Some(EventSeq(0)),
        }
    }

    /// Notes that a sale could be read only up to an event.
    pub(super) fn record_damaged_sale(&mut self, sale: SaleId, intact_to: EventSeq, damage: ReadError) {
        let (damaged_at, what) = match &damage {
            ReadError::Damaged { seq, what, .. } => (Some(*seq), (*what).to_owned()),
            other => (None, other.describe_damage()),
        };
        self.findings.damaged_sales.insert(sale, DamagedSale { intact_to, damaged_at, what });
        self.record_damage(damage);
    }

    /// Everything was read, but for the torn ends.
    pub(super) fn finish(mut self, torn: Vec<TornTail>) -> VerifyFindings {
        self.close_sale();
        let torn = torn.into_iter().map(|end| {
            let is_in_tables = self.tables.get(&end.sale).is_some_and(|tables| tables.seq >= end.from);
            TornEndFinding { end, is_in_tables }
        });
        self.findings.torn = torn.collect();
        self.compare_tables();
        self.collect_orphan_payments();
        self.findings
    }

    /// Where the ledger could not be read to its end, it does not say which orders it has.
    fn collect_orphan_payments(&mut self) {
        if self.findings.damage.is_some() {
            return;
        }
        let orphans = std::mem::take(&mut self.captured).into_iter().flat_map(|(sale, payments)| {
            payments.into_iter().map(move |(order, payment)| OrphanPayment { sale, payment, order })
        });
        self.findings.orphan_payments = orphans.collect();
        self.findings.orphan_payments.sort_unstable();
    }

    /// Records the counters of the sale that was read, and drops its auditor.
    fn close_sale(&mut self) {
        let Some(SaleAudit { sale, auditor, tables_at, last, at_tables }) = self.open_sale.take() else {
            return;
        };
        let tables = tables_at.map_or(TableProgress::Missing, |at| match at.cmp(&last) {
            Ordering::Equal => TableProgress::Complete,
            Ordering::Less => TableProgress::Behind(last.0 - at.0),
            Ordering::Greater => TableProgress::Ahead(at.0 - last.0),
        });
        let findings = &mut self.findings;
        let broken = SalePromise::ALL.iter().map(|promise| auditor.offence_count(*promise)).sum();
        let summary =
            SaleFindings { events: auditor.entries(), counters: auditor.counters(), tables, broken };
        findings.sales.insert(sale, summary);
        self.ends.insert(sale, (last, at_tables));
        for (promise, tally) in SalePromise::ALL.iter().zip(&mut findings.tallies) {
            tally.checked += auditor.check_count(*promise);
            tally.broken += auditor.offence_count(*promise);
        }
        for broken in auditor.first_offences() {
            let tally = &mut findings.tallies[broken.promise as usize];
            tally.first.get_or_insert_with(|| SaleViolation { sale, broken: broken.clone() });
        }
        if let Some(earliest) = auditor.first_offences().min_by_key(|broken| broken.seq) {
            findings.first.get_or_insert_with(|| SaleViolation { sale, broken: earliest.clone() });
        }
    }

    fn compare_tables(&mut self) {
        for (id, tables) in &self.tables {
            let (last, counters) = self.ends.get(id).copied().unwrap_or_default();
            // Where a sale could not be read to its end, the ledger does not say that the tables are ahead of it.
            let was_read = !self.findings.damaged_sales.contains_key(id) && self.ends.contains_key(id);
            if self.findings.damage.is_some() && counters.is_none() && !was_read {
                continue;
            }
            if let Some(difference) = tables::describe_difference(tables, last, counters) {
                self.findings.differences.insert(*id, difference);
            }
        }
    }
}
