//! What `doorbuster verify` prints: each sale's sums, each promise, and the first offence against them.

use super::tables::told;
use super::{Findings, Sale};
use sale::audit::Promise;
use sale::{Broken, SaleId};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, sale) in &self.sales {
            let events = count(sale.auditor.entries(), "event");
            writeln!(f, "sale {id}\n  {events}; {}", told(&sale.auditor.counters()))?;
            let tables = self.tables.get(id).map(|tables| (tables.seq, tables.seq.cmp(&sale.last)));
            match tables {
                None => writeln!(f, "  tables: none yet")?,
                Some((_, Ordering::Equal)) => writeln!(f, "  tables: complete")?,
                Some((seq, Ordering::Less)) => {
                    writeln!(f, "  tables: {} behind", count(sale.last.0 - seq.0, "event"))?;
                }
                Some((seq, Ordering::Greater)) => {
                    writeln!(f, "  tables: {} ahead", count(seq.0 - sale.last.0, "event"))?;
                }
            }
        }
        if !self.sales.is_empty() {
            writeln!(f)?;
        }
        for promise in Promise::ALL {
            let verdict = match self.times_broken(promise) {
                0 => "kept".to_owned(),
                times => format!("BROKEN {times}×"),
            };
            writeln!(f, "  {verdict:<12} {:<13} {}", promise.name(), promise.sentence())?;
        }
        writeln!(f)?;
        if let Some((id, broken)) = first_broken(&self.sales) {
            writeln!(f, "first offence: sale {id}, {broken}")?;
        }
        if let Some(damage) = &self.damage {
            writeln!(f, "damage: {damage}")?;
            writeln!(f, "What comes after it was not read.")?;
        }
        for (sale, difference) in &self.differences {
            writeln!(f, "the tables differ: sale {sale}: {difference}")?;
        }
        let verdict = if self.all_is_well() { "every promise is kept" } else { "NOT every promise is kept" };
        let events = self.sales.values().map(|sale| sale.auditor.entries()).sum();
        write!(f, "{verdict}: {}, {}", count(self.sales.len() as u64, "sale"), count(events, "event"))
    }
}

/// The earliest offence of the first sale that has one; sales are in the order in which they were made.
fn first_broken(sales: &BTreeMap<SaleId, Sale>) -> Option<(SaleId, &Broken)> {
    sales.iter().find_map(|(id, sale)| {
        sale.auditor.broken().min_by_key(|broken| broken.seq).map(|broken| (*id, broken))
    })
}

fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
