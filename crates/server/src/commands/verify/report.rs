//! What `doorbuster verify` prints for people: the promises as a table, each sale's counters, the first offence, and the verdict
//! last. At most 100 columns wide, but for sentences that name a place: those stay in one line, to be searched for.

use super::colours::VerifyColours;
use super::counters_text::format_counters;
use super::findings::{
    DamagedSale, OrphanPayment, PromiseCount, SaleFindings, SaleViolation, TableProgress, TornEndFinding,
    VerifyFindings,
};
use rehearsal::report::format::{count, counted, wrap_text};
use sale::SaleId;
use sale::audit::SalePromise;
use std::fmt::Write;

/// Columns of a line, as most terminals have them.
const WIDTH: usize = 100;
/// Columns before the sentence of a promise.
const SENTENCE_AT: usize = 47;
/// Sales that are shown in any case; of the others only those with something wrong are.
const SALES_SHOWN: usize = 20;
/// Payments without an order that are shown.
const PAYMENTS_SHOWN: usize = 20;

/// The whole report, without the last line's end.
pub(super) fn render_report(findings: &VerifyFindings, ink: VerifyColours) -> String {
    let mut out = String::new();
    let parts = [render_promises(findings, ink), render_sales(findings, ink), render_findings(findings, ink)];
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let _ = writeln!(out, "{part}");
    }
    out + &render_verdict(findings, ink)
}

fn render_promises(findings: &VerifyFindings, ink: VerifyColours) -> String {
    let header = format!("  {:<8}{:<12} {:>13} {:>7}", "", "promise", "checked", "broken");
    let mut out = format!("{}\n", ink.dim(&header));
    for (promise, tally) in SalePromise::ALL.into_iter().zip(&findings.tallies) {
        let PromiseCount { checked, broken, .. } = tally;
        let word = if *broken == 0 {
            ink.good(&format!("{:<8}", "kept"))
        } else {
            ink.bad(&format!("{:<8}", "BROKEN"))
        };
        let (name, sentence) = (promise.name(), wrap_text(promise.sentence(), SENTENCE_AT, WIDTH));
        let _ =
            writeln!(out, "  {word}{name:<12} {:>13} {:>7}   {sentence}", count(*checked), count(*broken));
    }
    out
}

fn render_sales(findings: &VerifyFindings, ink: VerifyColours) -> String {
    let (mut out, mut rest) = (String::new(), OmittedSales::default());
    for (no, (id, sale)) in findings.sales.iter().enumerate() {
        if no < SALES_SHOWN || findings.is_remarkable(*id) {
            write_sale(&mut out, *id, sale, ink);
        } else {
            rest.add(sale);
        }
    }
    if rest.sales > 0 {
        let OmittedSales { sales, events, complete } = rest;
        let sales =
            if sales == 1 { "1 more sale".to_owned() } else { format!("{} more sales", count(sales)) };
        let events = counted(events, "event");
        let _ = writeln!(out, "and {sales}: {events}, nothing broken; tables: {} complete", count(complete));
    }
    out
}

/// Sales that are not shown one by one.
#[derive(Default)]
struct OmittedSales {
    sales: u64,
    events: u64,
    complete: u64,
}

impl OmittedSales {
    fn add(&mut self, sale: &SaleFindings) {
        self.sales += 1;
        self.events += sale.events;
        self.complete += u64::from(sale.tables == TableProgress::Complete);
    }
}

fn write_sale(out: &mut String, id: SaleId, sale: &SaleFindings, ink: VerifyColours) {
    let broken = match sale.broken {
        0 => String::new(),
        times => format!(": {}", ink.bad(&format!("BROKEN {}×", count(times)))),
    };
    let tables = match sale.tables {
        TableProgress::Missing => "none yet".to_owned(),
        TableProgress::Complete => "complete".to_owned(),
        TableProgress::Behind(events) => format!("{} behind", counted(events, "event")),
        TableProgress::Ahead(events) => ink.bad(&format!("{} ahead", counted(events, "event"))),
    };
    let _ = writeln!(out, "sale {id}{broken}\n  {}; tables: {tables}", counted(sale.events, "event"));
    let _ = writeln!(out, "  {}", wrap_text(&format_counters(&sale.counters), 2, WIDTH));
}

/// What has a place in the ledger or in the tables.
fn render_findings(findings: &VerifyFindings, ink: VerifyColours) -> String {
    let mut out = String::new();
    if let Some(SaleViolation { sale, broken }) = &findings.first {
        let head = ink.bad("first offence:");
        let _ = writeln!(out, "{head} sale {sale}, event {}:\n  {}", broken.seq, broken.detail);
        let buyer = broken.buyer.map(|buyer| format!(", buyer {buyer}")).unwrap_or_default();
        let _ = writeln!(out, "  promise `{}`{buyer}", broken.promise);
    }
    if let Some(loss) = &findings.ledger_loss {
        let _ = writeln!(out, "{} {loss}", ink.bad("the ledger is lost:"));
    }
    if let Some(damage) = &findings.damage {
        let head = ink.bad("damage:");
        let _ = writeln!(out, "{head} {}\nThe other sales were read.", damage.describe_damage());
    }
    for (sale, DamagedSale { intact_to, damaged_at, what }) in &findings.damaged_sales {
        let damaged = match damaged_at {
            Some(seq) => format!("damaged at event {seq}"),
            None => "damaged after it".to_owned(),
        };
        let _ = writeln!(out, "sale {sale}: intact up to event {intact_to}; {}: {what}", ink.bad(&damaged));
    }
    for TornEndFinding { end, is_in_tables } in &findings.torn {
        let (head, rows) = (ink.warning("torn end:"), counted(end.rows, "row"));
        let known = if *is_in_tables {
            "but the tables have seen it: the disk lost what it had acknowledged"
        } else {
            "and nothing shows that anyone was told of it"
        };
        let next = if findings.damage.is_some() {
            "Because of the damage, the next start is refused"
        } else {
            "The next start moves it into the table `torn`"
        };
        let _ = writeln!(
            out,
            "{head} sale {}, from event {} on: {rows} not as written. A power loss explains it, {known}. {next}.",
            end.sale, end.from
        );
    }
    if let Some(damage) = &findings.table_damage {
        let _ = writeln!(
            out,
            "{} {damage}\nThey were not compared with the ledger.",
            ink.bad("the tables are damaged:")
        );
    }
    write_orphan_payments(&mut out, &findings.orphan_payments, ink);
    for (sale, difference) in &findings.differences {
        let _ = writeln!(out, "{} sale {sale}: {difference}", ink.bad("the tables differ:"));
    }
    for note in &findings.notes {
        let _ = writeln!(out, "{} {note}", ink.warning("note:"));
    }
    out
}

/// Payments whose orders the ledger does not have.
fn write_orphan_payments(out: &mut String, payments: &[OrphanPayment], ink: VerifyColours) {
    if payments.is_empty() {
        return;
    }
    let head = ink.bad("payments without an order:");
    let payments_count = counted(payments.len() as u64, "captured payment");
    let _ = writeln!(out, "{head} {payments_count}, whose orders are not confirmed in the ledger");
    for OrphanPayment { sale, payment, order } in payments.iter().take(PAYMENTS_SHOWN) {
        let _ = writeln!(out, "  payment {payment}\n    of order {order}, sale {sale}");
    }
    if let Some(others) = payments.len().checked_sub(PAYMENTS_SHOWN).filter(|others| *others > 0) {
        let _ = writeln!(out, "  and {} more", count(others as u64));
    }
}

fn render_verdict(findings: &VerifyFindings, ink: VerifyColours) -> String {
    let has_offence = findings.tallies.iter().any(|tally| tally.broken > 0);
    let words = if findings.is_clean() {
        ink.good("every promise is kept")
    } else if findings.damage.is_some() && !has_offence {
        ink.bad("damaged: promises were not checked to the end")
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
    use crate::commands::verify::findings::VerifyRun;
    use engine::record::LedgerPage;
    use sale::{
        AdmissionMode, BuyerId, Command, EventSeq, LedgerEntry, Money, OrderId, Policy, SaleState, Timestamp,
    };
    use std::collections::BTreeMap;
    use uuid::Uuid;

    const START: Timestamp = Timestamp(1_790_000_000_000);

    fn id(no: u64) -> SaleId {
        SaleId(Uuid::from_u64_pair(0x01a1_fc31_b51b_723f, no))
    }

    /// A sale of three units, of which one is sold; with `tampering` it is sold a second time.
    fn page(no: u64, tampering: bool) -> LedgerPage {
        let (mut state, mut entries) = (SaleState::new(), Vec::new());
        let policy = Box::new(Policy {
            quantity: 3,
            unit_price: Money { minor: 4_900, currency: "EUR".parse().unwrap() },
            starts_at: START,
            ends_at: START.plus_s(60),
            limit_per_buyer: 1,
            hold_s: 0,
            admission: AdmissionMode::Open,
        });
        let (buyer, order) = (BuyerId(Uuid::from_u128(1)), OrderId(Uuid::from_u128(2)));
        state.step(START, &Command::Configure { policy }, &mut entries);
        state.step(START, &Command::Reserve { buyer, order, quantity: 1, key: None }, &mut entries);
        if tampering {
            let again = LedgerEntry { seq: EventSeq(3), ..entries[1].clone() };
            entries.push(again);
        }
        LedgerPage { sale: id(no), entries }
    }

    fn findings(sales: u64, tampered: &[u64]) -> VerifyFindings {
        let mut reading = VerifyRun::new(BTreeMap::new(), None);
        for no in 1..=sales {
            reading.read_page(&page(no, tampered.contains(&no)));
        }
        reading.finish(Vec::new())
    }

    #[test]
    fn of_many_sales_the_first_are_shown_and_the_broken_ones_always() {
        let report = render_report(&findings(1_000, &[30, 500]), VerifyColours::PLAIN);
        let shown = report.lines().filter(|line| line.starts_with("sale ")).count();
        assert_eq!(shown, SALES_SHOWN + 2, "{report}");
        assert!(report.contains(&format!("sale {}: BROKEN", id(30))), "{report}");
        assert!(report.contains(&format!("sale {}: BROKEN", id(500))), "{report}");
        assert!(
            report.contains("and 978 more sales: 1,956 events, nothing broken; tables: 0 complete"),
            "{report}"
        );
        assert!(report.contains(&format!("first offence: sale {}, event 3:", id(30))), "{report}");
        assert!(report.ends_with("NOT every promise is kept: 1,000 sales, 2,002 events"), "{report}");
        let report = render_report(&findings(SALES_SHOWN as u64, &[]), VerifyColours::PLAIN);
        assert!(!report.contains("more sale"), "{report}");
    }

    #[test]
    fn checks_and_offences_of_all_sales_add_up() {
        let one = findings(1, &[]);
        let many = findings(7, &[3, 5]);
        for (promise, (one, many)) in SalePromise::ALL.iter().zip(one.tallies.iter().zip(&many.tallies)) {
            assert!(many.checked >= 7 * one.checked, "{promise}");
        }
        let records = &many.tallies[SalePromise::Records as usize];
        assert_eq!(records.broken, 2);
        assert_eq!(
            records.first.as_ref().map(|first| (first.sale, first.broken.seq)),
            Some((id(3), EventSeq(3)))
        );
        assert_eq!(many.tallies[SalePromise::Sequence as usize].checked, 2 * (7 * 2 + 2));
    }

    #[test]
    fn the_report_fits_a_hundred_columns_and_colours_change_no_word() {
        let mut findings = findings(3, &[2]);
        for tally in &mut findings.tallies {
            tally.checked = 9_999_999_999;
        }
        for sale in findings.sales.values_mut() {
            let most = 10_000_000;
            sale.counters = sale::SaleCounters {
                quantity: most,
                available: most,
                admitted: most,
                held: most,
                sold: most,
                waiting: most,
                short: most,
            };
        }
        let plain = render_report(&findings, VerifyColours::PLAIN);
        for line in plain.lines() {
            assert!(line.chars().count() <= WIDTH && line.trim_end() == line, "{line:?}");
        }
        let coloured = render_report(&findings, VerifyColours::COLOURED);
        assert_ne!(coloured, plain);
        let parts = coloured.split('\x1b').enumerate();
        let stripped: String =
            parts.map(|(no, part)| if no == 0 { part } else { part.split_once('m').unwrap().1 }).collect();
        assert_eq!(stripped, plain);
    }

    #[test]
    fn payments_without_an_order_are_a_finding_of_which_the_first_are_shown() {
        let bought = OrderId(Uuid::from_u128(2));
        let lost = |no: u128| (OrderId(Uuid::from_u128(100 + no)), Uuid::from_u128(200 + no));
        let run = |lost_payments: u128| {
            let mut of_sale: std::collections::HashMap<_, _> = (0..lost_payments).map(lost).collect();
            of_sale.insert(bought, Uuid::from_u128(3));
            let mut reading =
                VerifyRun::new(BTreeMap::new(), None).with_payments(BTreeMap::from([(id(1), of_sale)]));
            reading.read_page(&page(1, false));
            reading.finish(Vec::new())
        };
        assert!(run(0).is_clean(), "the order of the one payment is confirmed");
        let report = render_report(&run(23), VerifyColours::PLAIN);
        assert!(report.contains("payments without an order: 23 captured payments, "), "{report}");
        assert_eq!(report.matches("  payment ").count(), PAYMENTS_SHOWN, "{report}");
        assert!(
            report.contains("  and 3 more\n") && report.contains("NOT every promise is kept"),
            "{report}"
        );
        for line in report.lines() {
            assert!(line.chars().count() <= WIDTH, "{line:?}");
        }
    }

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(counted(1, "event"), "1 event");
    }
}
