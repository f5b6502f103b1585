//! The promises as a table: kept or broken, how often, and the first offence. It never judges.

use super::format::count;
use crate::judge::{PromiseFinding, PromiseOffence};
use maud::{Markup, html};

/// One table of promises, under its heading.
pub(super) fn promises(id: &str, heading: &str, lead: &str, findings: &[PromiseFinding]) -> Markup {
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (heading) }
            p.lead { (lead) }
            @if findings.is_empty() {
                p.none { "Nothing was judged." }
            } @else {
                table.promises {
                    thead { tr {
                        th scope="col" { "Verdict" }
                        th scope="col" { "Promise" }
                        th.number scope="col" { "Checked" }
                    } }
                    tbody { @for finding in findings { (row(finding)) } }
                }
            }
        }
    }
}

fn row(finding: &PromiseFinding) -> Markup {
    html! {
        tr.broken[finding.broken > 0] {
            td.verdict-cell { (verdict(finding)) }
            td.promise {
                code.name { (finding.name) } " "
                span.sentence { (finding.sentence) }
                @if let Some(offence) = &finding.first { (first(offence)) }
            }
            td.number {
                (count(finding.checked))
                @if finding.checked == 0 { span.muted { "nothing came up" } }
            }
        }
    }
}

fn verdict(finding: &PromiseFinding) -> Markup {
    html! {
        @match finding.broken {
            0 if finding.checked == 0 => span.badge { "kept" },
            0 => span.badge.good { span aria-hidden="true" { "✓ " } "kept" },
            times => {
                span.badge.bad { span aria-hidden="true" { "✗ " } "BROKEN" }
                span.times { (count(times)) "×" }
            }
        }
    }
}

fn first(offence: &PromiseOffence) -> Markup {
    html! {
        div.offence {
            p { strong { "First: " } (offence.detail) }
            @if offence.buyer.is_some() || offence.order.is_some() || offence.event.is_some() {
                dl {
                    @if let Some(buyer) = offence.buyer { div { dt { "buyer" } dd { (buyer) } } }
                    @if let Some(order) = offence.order { div { dt { "order" } dd { (order) } } }
                    @if let Some(event) = offence.event { div { dt { "event" } dd { (event) } } }
                }
            }
        }
    }
}
