//! What `doorbuster verify` prints for people: the promises as a table, each sale's sums, the first offence, and the verdict
//! last. At most 100 columns wide, but for sentences that name a place: those stay in one line, to be searched for.

use super::findings::{Findings, Lag, Offence, Sale, Tally, Torn};
use super::ink::Ink;
use super::words::told;
use rehearsal::report::format::{count, counted, wrapped};
use sale::SaleId;
use sale::audit::Promise;
use std::fmt::Write;

/// Columns of a line, as most terminals have them.
const WIDTH: usize = 100;
/// Columns before the sentence of a promise.
const SENTENCE_AT: usize = 47;
/// Sales that are shown in any case; of the others only those with something wrong are.
const SALES_SHOWN: usize = 20;

/// The whole report, without the last line's end.
pub(super) fn text(findings: &Findings, ink: Ink) -> String {
    let mut out = String::new();
    let parts = [promises(findings, ink), sales(findings, ink), findings_by_place(findings, ink)];
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let _ = writeln!(out, "{part}");
    }
    out + &verdict(findings, ink)
}

fn promises(findings: &Findings, ink: Ink) -> String {
    let header = format!("  {:<8}{:<12} {:>13} {:>7}", "", "promise", "checked", "broken");
    let mut out = format!("{}\n", ink.faint(&header));
    for (promise, tally) in Promise::ALL.into_iter().zip(&findings.tallies) {
        let Tally { checked, broken, .. } = tally;
        let word = if *broken == 0 {
            ink.good(&format!("{:<8}", "kept"))
        } else {
            ink.bad(&format!("{:<8}", "BROKEN"))
        };
        let (name, sentence) = (promise.name(), wrapped(promise.sentence(), SENTENCE_AT, WIDTH));
        let _ =
            writeln!(out, "  {word}{name:<12} {:>13} {:>7}   {sentence}", count(*checked), count(*broken));
    }
    out
}

fn sales(findings: &Findings, ink: Ink) -> String {
    let (mut out, mut rest) = (String::new(), Rest::default());
    for (no, (id, sale)) in findings.sales.iter().enumerate() {
        if no < SALES_SHOWN || findings.is_remarkable(*id) {
            shown(&mut out, *id, sale, ink);
        } else {
            rest.add(sale);
        }
    }
    if rest.sales > 0 {
        let Rest { sales, events, complete } = rest;
        let sales =
            if sales == 1 { "1 more sale".to_owned() } else { format!("{} more sales", count(sales)) };
        let events = counted(events, "event");
        let _ = writeln!(out, "and {sales}: {events}, nothing broken; tables: {} complete", count(complete));
    }
    out
}

/// Sales that are not shown one by one.
#[derive(Default)]
struct Rest {
    sales: u64,
    events: u64,
    complete: u64,
}

impl Rest {
    fn add(&mut self, sale: &Sale) {
        self.sales += 1;
        self.events += sale.events;
        self.complete += u64::from(sale.tables == Lag::Complete);
    }
}

fn shown(out: &mut String, id: SaleId, sale: &Sale, ink: Ink) {
    let broken = match sale.broken {
        0 => String::new(),
        times => format!(": {}", ink.bad(&format!("BROKEN {}×", count(times)))),
    };
    let tables = match sale.tables {
        Lag::NoneYet => "none yet".to_owned(),
        Lag::Complete => "complete".to_owned(),
        Lag::Behind(events) => format!("{} behind", counted(events, "event")),
        Lag::Ahead(events) => ink.bad(&format!("{} ahead", counted(events, "event"))),
    };
    let _ = writeln!(out, "sale {id}{broken}\n  {}; tables: {tables}", counted(sale.events, "event"));
    let _ = writeln!(out, "  {}", wrapped(&told(&sale.counters), 2, WIDTH));
}

/// What has a place in the ledger or in the tables.
fn findings_by_place(findings: &Findings, ink: Ink) -> String {
    let mut out = String::new();
    if let Some(Offence { sale, broken }) = &findings.first {
        let head = ink.bad("first offence:");
        let _ = writeln!(out, "{head} sale {sale}, event {}:\n  {}", broken.seq, broken.detail);
        let buyer = broken.buyer.map(|buyer| format!(", buyer {buyer}")).unwrap_or_default();
        let _ = writeln!(out, "  promise `{}`{buyer}", broken.promise);
    }
    if let Some(damage) = &findings.damage {
        let _ = writeln!(out, "{} {damage}\nWhat comes after it was not read.", ink.bad("damage:"));
    }
    for Torn { end, is_in_tables } in &findings.torn {
        let (head, rows) = (ink.odd("torn end:"), counted(end.rows, "row"));
        let known = if *is_in_tables {
            "but the tables have seen it: the disk lost what it had acknowledged"
        } else {
            "and nothing shows that anyone was told of it"
        };
        let next = if findings.damage.is_some() {
            "Because of the damage, the next start is refused"
        } else {
            "The next start sets it aside"
        };
        let _ = writeln!(
            out,
            "{head} sale {}, from event {} on: {rows} not as written. A power loss explains it, {known}. {next}.",
            end.sale, end.from
        );
    }
    for (sale, difference) in &findings.differences {
        let _ = writeln!(out, "{} sale {sale}: {difference}", ink.bad("the tables differ:"));
    }
    out
}

fn verdict(findings: &Findings, ink: Ink) -> String {
    let words = if findings.all_is_well() {
        ink.good("every promise is kept")
    } else {
        ink.bad("NOT every promise is kept")
    };
    let sales = counted(findings.sales.len() as u64, "sale");
    let torn = match findings.torn_rows() {
        0 => String::new(),
        rows => format!(", {} torn", counted(rows, "row")),
    };
    format!("{words}: {sales}, {}{torn}", counted(findings.events(), "event"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::verify::findings::Reading;
    use engine::record::Page;
    use sale::{Admission, BuyerId, Command, Entry, Money, OrderId, Policy, Seq, State, Timestamp};
    use std::collections::BTreeMap;
    use uuid::Uuid;

    const START: Timestamp = Timestamp(1_790_000_000_000);

    fn id(no: u64) -> SaleId {
        SaleId(Uuid::from_u64_pair(0x01a1_fc31_b51b_723f, no))
    }

    /// A sale of three units, of which one is sold; with `tampering` it is sold a second time.
    fn page(no: u64, tampering: bool) -> Page {
        let (mut state, mut entries) = (State::new(), Vec::new());
        let policy = Box::new(Policy {
            quantity: 3,
            unit_price: Money { minor: 4_900, currency: "EUR".parse().unwrap() },
            starts_at: START,
            ends_at: START.plus_s(60),
            limit_per_buyer: 1,
            hold_s: 0,
            admission: Admission::Open,
        });
        let (buyer, order) = (BuyerId(Uuid::from_u128(1)), OrderId(Uuid::from_u128(2)));
        state.step(START, &Command::Configure { policy }, &mut entries);
        state.step(START, &Command::Reserve { buyer, order, quantity: 1, key: None }, &mut entries);
        if tampering {
            let again = Entry { seq: Seq(3), ..entries[1].clone() };
            entries.push(again);
        }
        Page { sale: id(no), entries }
    }

    fn findings(sales: u64, tampered: &[u64]) -> Findings {
        let mut reading = Reading::new(BTreeMap::new(), None);
        for no in 1..=sales {
            reading.read(&page(no, tampered.contains(&no)));
        }
        reading.end(Vec::new())
    }

    #[test]
    fn of_many_sales_the_first_are_shown_and_the_broken_ones_always() {
        let told = text(&findings(1_000, &[30, 500]), Ink::PLAIN);
        let shown = told.lines().filter(|line| line.starts_with("sale ")).count();
        assert_eq!(shown, SALES_SHOWN + 2, "{told}");
        assert!(told.contains(&format!("sale {}: BROKEN", id(30))), "{told}");
        assert!(told.contains(&format!("sale {}: BROKEN", id(500))), "{told}");
        assert!(
            told.contains("and 978 more sales: 1,956 events, nothing broken; tables: 0 complete"),
            "{told}"
        );
        assert!(told.contains(&format!("first offence: sale {}, event 3:", id(30))), "{told}");
        assert!(told.ends_with("NOT every promise is kept: 1,000 sales, 2,002 events"), "{told}");
        let told = text(&findings(SALES_SHOWN as u64, &[]), Ink::PLAIN);
        assert!(!told.contains("more sale"), "{told}");
    }

    #[test]
    fn looks_and_offences_of_all_sales_add_up() {
        let one = findings(1, &[]);
        let many = findings(7, &[3, 5]);
        for (promise, (one, many)) in Promise::ALL.iter().zip(one.tallies.iter().zip(&many.tallies)) {
            assert!(many.checked >= 7 * one.checked, "{promise}");
        }
        let records = &many.tallies[Promise::Records as usize];
        assert_eq!(records.broken, 2);
        assert_eq!(records.first.as_ref().map(|first| (first.sale, first.broken.seq)), Some((id(3), Seq(3))));
        assert_eq!(many.tallies[Promise::Sequence as usize].checked, 2 * (7 * 2 + 2));
    }

    #[test]
    fn the_report_fits_a_hundred_columns_and_colours_change_no_word() {
        let mut findings = findings(3, &[2]);
        for tally in &mut findings.tallies {
            tally.checked = 9_999_999_999;
        }
        for sale in findings.sales.values_mut() {
            let most = 10_000_000;
            sale.counters = sale::Counters {
                quantity: most,
                available: most,
                admitted: most,
                held: most,
                sold: most,
                waiting: most,
                short: most,
            };
        }
        let plain = text(&findings, Ink::PLAIN);
        for line in plain.lines() {
            assert!(line.chars().count() <= WIDTH && line.trim_end() == line, "{line:?}");
        }
        let coloured = text(&findings, Ink::COLOURED);
        assert_ne!(coloured, plain);
        let parts = coloured.split('\x1b').enumerate();
        let stripped: String =
            parts.map(|(no, part)| if no == 0 { part } else { part.split_once('m').unwrap().1 }).collect();
        assert_eq!(stripped, plain);
    }

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(counted(1, "event"), "1 event");
    }
}
