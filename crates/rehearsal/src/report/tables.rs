//! The page's tables besides the promises: counts with bars, latencies, faults, settings, and the numbers behind the charts.
//! It never draws over time.

use super::charts::{since_start, thin_samples};
use super::format::{count, moment, percent, span_ms};
use super::{NamedCount, RehearsalReport};
use maud::{Markup, html};

/// The last column of a table of counts, besides the count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PercentColumn {
    /// The part of all together.
    OfAll,
    /// Nothing: the counts overlap.
    None,
}

/// Counts under a name for those who do not see them, each with a bar as long as its part of the largest.
pub(super) fn counts(name: &str, counts: &[NamedCount], share: PercentColumn) -> Markup {
    let most = counts.iter().map(|count| count.count).max().unwrap_or_default();
    let all = counts.iter().map(|count| count.count).sum();
    html! {
        @if counts.is_empty() {
            p.none { "None." }
        } @else {
            table.counts aria-label=(name) {
                @for row in counts {
                    tr {
                        th scope="row" { (row.name) }
                        td.bar-cell { (bar(row.count, most)) }
                        td.number { (count(row.count)) }
                        @if share == PercentColumn::OfAll { td.number.muted { (percent(row.count, all)) } }
                    }
                }
            }
        }
    }
}

fn bar(part: u64, whole: u64) -> Markup {
    let width = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    // What happened at all can be seen.
    let width = if part > 0 { width.max(0.7) } else { 0.0 };
    html! {
        svg.bar viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
            rect width=(super::format::short(width, 2)) height="10" {}
        }
    }
}

/// Latencies by sort of request.
pub(super) fn latency(report: &RehearsalReport) -> Markup {
    html! {
        @if report.latency.is_empty() {
            p.none { "Nothing was settled, so nothing was measured." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Latency by sort of request" {
                table.figures {
                    thead { tr {
                        th scope="col" { "Request" }
                        @for name in ["Settled", "Median", "p90", "p99", "p99.9", "Longest"] {
                            th.number scope="col" { (name) }
                        }
                    } }
                    tbody { @for row in &report.latency { tr {
                        th scope="row" { (row.name) }
                        td.number { (count(row.count)) }
                        @for ms in [row.p50_ms, row.p90_ms, row.p99_ms, row.p999_ms, row.max_ms] {
                            td.number { (span_ms(ms)) }
                        }
                    } } }
                }
            }
        }
    }
}

/// Faults that are listed openly; more are folded away.
const FAULTS_OPEN: usize = 16;

/// What was done to the instance.
pub(super) fn faults(report: &RehearsalReport) -> Markup {
    let table = html! {
        table.plain aria-label="What was done to the instance" {
            @for fault in &report.faults { tr {
                th.number scope="row" { (moment(since_start(report, fault.at_ms))) }
                td { (fault.what) }
            } }
        }
    };
    html! {
        @if report.faults.len() <= FAULTS_OPEN {
            (table)
        } @else {
            details {
                summary { (count(report.faults.len() as u64)) " entries" }
                div.scroll tabindex="0" role="region" aria-label="What was done to the instance" { (table) }
            }
        }
    }
}

pub(super) fn settings(report: &RehearsalReport) -> Markup {
    html! {
        table.plain aria-label="Settings" {
            @for row in &report.settings { tr { th scope="row" { (row.name) } td { (row.value) } } }
        }
    }
}

/// The numbers behind the charts, slot by slot and sample by sample.
pub(super) fn figures(report: &RehearsalReport) -> Markup {
    let slots = format!("{} of {} each", count(report.timeline.len() as u64), span_ms(report.slot_ms as f64));
    let seen = thin_samples(&report.stock);
    let at = |at_ms| moment(since_start(report, at_ms));
    html! {
        @if !report.timeline.is_empty() {
            details {
                summary { "Numbers: arrivals, throughput and latency" span.muted { " slots: " (slots) } }
                div.scroll tabindex="0" role="region" aria-label="Arrivals, throughput and latency, slot by slot" {
                    table.figures {
                        (head(&["From start", "Arrivals", "Sent", "Accepted", "Refused", "Unanswered", "Median", "p90", "p99", "Longest"]))
                        tbody { @for slot in &report.timeline { tr {
                            th.number scope="row" { (at(slot.at_ms)) }
                            @for number in [slot.arrivals, slot.sent, slot.accepted, slot.refused, slot.unanswered] {
                                td.number { (count(number)) }
                            }
                            @for ms in [slot.p50_ms, slot.p90_ms, slot.p99_ms, slot.max_ms] {
                                td.number { @if ms > 0.0 { (span_ms(ms)) } @else { "–" } }
                            }
                        } } }
                    }
                }
            }
        }
        @if !seen.is_empty() {
            details {
                summary {
                    "Numbers: line and stock"
                    span.muted { " looks: " (count(seen.len() as u64)) " of " (count(report.stock.len() as u64)) }
                }
                div.scroll tabindex="0" role="region" aria-label="Line and stock, look by look" {
                    table.figures {
                        (head(&["From start", "Event", "Waiting", "Available", "Admitted", "In carts", "Sold", "Quantity"]))
                        tbody { @for units in &seen { tr {
                            th.number scope="row" { (at(units.at_ms)) }
                            td.number { (count(units.version)) }
                            @for number in [units.waiting, units.available, units.admitted, units.held, units.sold, units.quantity] {
                                td.number { (count(u64::from(number))) }
                            }
                        } } }
                    }
                }
            }
        }
    }
}

fn head(names: &[&str]) -> Markup {
    html! { thead { tr { @for name in names { th.number scope="col" { (name) } } } } }
}
