//! The page for people: one self-contained document that can be mailed and printed. It needs no script and loads
//! nothing; a policy in its head forbids it to.

use super::charts::{charts, since_start};
use super::format::{count, counted, long_span, moment, percent, rate, short, span_ms};
use super::promises::promises;
use super::tables::{self, PercentColumn};
use super::{EstimateQuality, NamedCount, RehearsalReport, RehearsalVerdict, RequestCounts};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Styles, in light and dark, on screens and on paper.
const STYLE: &str = include_str!("page.css");
/// Nothing is fetched from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The report as a page.
#[must_use]
pub fn render_html(report: &RehearsalReport) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Rehearsal: " (report.verdict_sentence()) }
                style { (PreEscaped(STYLE)) }
            }
            body { (patterns()) main { (body(report)) } }
        }
    };
    page.into_string()
}

fn body(report: &RehearsalReport) -> Markup {
    html! {
        header {
            p.kicker { "Doorbuster rehearsal · " time datetime=(report.started_at) { (spoken(&report.started_at)) } }
            (verdict(report))
            (key_figures(report))
        }
        (promises(
            "told",
            "What the buyers were shown",
            "From outside: the replies that each simulated buyer got, compared with the ledger and the tables.",
            &report.replies,
        ))
        section aria-labelledby="course" {
            h2 id="course" { "How it went" }
            p.lead {
                "Times count from the sale's start."
                @if !report.faults.is_empty() { " Where the background is shaded, the instance was away or its disk was full." }
            }
            (charts(report))
            (tables::figures(report))
            @if !report.faults.is_empty() {
                h3 { "What was done to the instance" }
                (tables::faults(report))
            }
        }
        (ends(report))
        @if !report.ledger.is_empty() {
            (promises(
                "ledger",
                "What the ledger shows",
                "From inside: the auditor reads every event of the sale and checks the law's own promises.",
                &report.ledger,
            ))
        }
        @if !report.events.is_empty() {
            (promises(
                "events",
                "What a receiver of events got",
                "From beside: a webhook receiver of the rehearsal's own, compared with the ledger.",
                &report.events,
            ))
        }
        (circumstances(report))
    }
}

fn verdict(report: &RehearsalReport) -> Markup {
    let (class, sign) = match report.verdict {
        RehearsalVerdict::Kept => ("good", "✓"),
        RehearsalVerdict::Broken { .. } => ("bad", "✗"),
        RehearsalVerdict::Unjudged { .. } => ("odd", "?"),
    };
    html! {
        div class={ "banner " (class) } {
            span.sign aria-hidden="true" { (sign) }
            div {
                h1 { (report.verdict_sentence()) }
                @match &report.verdict {
                    RehearsalVerdict::Kept => {
                        @let checked = report.replies.iter().chain(&report.ledger).chain(&report.events);
                        @let (promises, things) = checked.fold((0, 0), |(all, sum), one| (all + 1, sum + one.checked));
                        p { (counted(promises, "promise")) ", checked " (counted(things, "time")) "." }
                    },
                    RehearsalVerdict::Broken { .. } => { p { "The first offence against each is shown in its row." } },
                    RehearsalVerdict::Unjudged { .. } => {
                        p { "What was seen until then is below. It proves nothing about the rest." }
                    },
                }
            }
        }
    }
}

fn key_figures(report: &RehearsalReport) -> Markup {
    let (requests, overall) = (&report.requests, report.overall_latency());
    let harm = report.faults.iter().filter(|fault| fault.sort.is_harm()).count() as u64;
    let latency =
        |pick: fn(&super::RequestLatency) -> f64| overall.map_or("–".to_owned(), |all| span_ms(pick(all)));
    let sold = report.sold_units().map_or("–".to_owned(), |sold| count(u64::from(sold)));
    let figures = [
        ("Buyers", count(report.people_count()), "in the crowd".to_owned()),
        ("Units", count(u64::from(report.quantity)), "on sale".to_owned()),
        (
            "Sold",
            sold,
            match report.sold_units() {
                Some(sold) => {
                    format!("{} of the units", percent(u64::from(sold), u64::from(report.quantity)))
                }
                None => "not known".to_owned(),
            },
        ),
        ("Requests", count(requests.sent), answered(requests)),
        ("Peak", rate(report.peak_per_second()), "requests a second".to_owned()),
        ("Median", latency(|all| all.p50_ms), "from the due time".to_owned()),
        ("p99", latency(|all| all.p99_ms), "from the due time".to_owned()),
        ("Faults", count(harm), if harm == 0 { "none requested" } else { "done on purpose" }.to_owned()),
    ];
    html! {
        dl.key {
            @for (name, figure, note) in figures {
                div { dt { (name) } dd { strong { (figure) } span { (note) } } }
            }
        }
    }
}

fn answered(requests: &RequestCounts) -> String {
    match *requests {
        RequestCounts { sent: 0, .. } => "none sent".to_owned(),
        RequestCounts { sent, answered, .. } if answered >= sent => "all answered".to_owned(),
        // The page names the others further down.
        RequestCounts { sent, answered, .. } => {
            format!("{} answered, {} not", count(answered), count(sent - answered))
        }
    }
}

/// How it ended for people and requests.
fn ends(report: &RehearsalReport) -> Markup {
    let requests = &report.requests;
    html! {
        section aria-labelledby="ends" {
            h2 id="ends" { "How it ended" }
            h3 { "For the people" }
            (tables::counts("People by how it ended for them", &report.outcomes, PercentColumn::OfAll))
            h3 { "Refusals by code" }
            (tables::counts("Refusals by code", &report.refusals, PercentColumn::OfAll))
            @if report.estimates.given + report.estimates.admitted_without > 0 {
                h3 { "Estimates of the wait" }
                (estimates(&report.estimates))
            }
            h3 { "Latency by sort of request" }
            p.lead {
                "From the moment a request was due to the moment it was settled: waiting for a connection and asking again "
                "are part of it."
            }
            (tables::latency(report))
            p {
                (count(requests.sent)) " requests were sent: " (count(requests.answered)) " answered, "
                (count(requests.unanswered)) " not answered, " (count(requests.lost))
                " whose replies were dropped on purpose, and " (count(requests.open)) " open at the end. "
                (count(requests.repeated)) " of them were sent again with the same key."
            }
        }
    }
}

/// How good the estimates of the wait were.
fn estimates(quality: &EstimateQuality) -> Markup {
    let EstimateQuality { given, good, too_short, too_long, never_admitted, .. } = *quality;
    let rows = [
        ("right", good),
        ("too short", too_short),
        ("too long", too_long),
        ("given, and the turn never came", never_admitted),
    ];
    let rows = rows.map(|(name, count)| NamedCount { name: name.to_owned(), count });
    html! {
        p.lead {
            "The first estimate after the start that each buyer got, and the wait that followed. An estimate is right within "
            "10 s or a factor of 2: " (percent(good, given)) " of " (count(given)) " were."
        }
        (tables::counts("First estimates after the start", &rows, PercentColumn::OfAll))
        p {
            (count(quality.admitted_without)) " buyers were admitted without an estimate, and "
            (count(quality.refused_without)) " without one were not admitted: the shop gives none where the units do not "
            "reach a place."
        }
    }
}

/// What a reader needs to trust the result and to repeat the run.
fn circumstances(report: &RehearsalReport) -> Markup {
    html! {
        section aria-labelledby="again" {
            h2 id="again" { "To repeat it" }
            p { "The same settings and the seed " code { (report.seed) } " make the same crowd." }
            pre.command tabindex="0" aria-label="The command" {
                // A flag is not broken at its hyphens; what is copied is the command as it is.
                code { @for (index, word) in report.command.split(' ').enumerate() {
                    @if index > 0 { " " } span { (word) }
                } }
            }
            @if !report.notes.is_empty() {
                h3 { "To know" }
                ul.notes { @for note in &report.notes { li { (note) } } }
            }
            h3 { "The crowd" }
            (tables::counts("The crowd, by manner", &report.crowd, PercentColumn::None))
            h3 { "Settings" }
            (tables::settings(report))
            h3 { "Circumstances" }
            table.plain aria-label="Circumstances" {
                tr { th scope="row" { "Instance" } td { (report.instance) } }
                tr { th scope="row" { "Ledger and tables" } td { (report.evidence) } }
                tr { th scope="row" { "Program" } td { (report.program) } }
                tr { th scope="row" { "Began" } td { (spoken(&report.started_at)) } }
                tr { th scope="row" { "Took" } td { (took(report)) } }
                tr { th scope="row" { "Processor time" } td { (processor(report)) } }
            }
        }
    }
}

fn took(report: &RehearsalReport) -> String {
    let last = report.timeline.last().map(|slot| since_start(report, slot.at_ms));
    let until = last.map_or(String::new(), |at| format!("; the last request {} from the start", moment(at)));
    format!("{}{until}", seconds(report.duration_s))
}

fn processor(report: &RehearsalReport) -> String {
    let client = format!("{} s for the buyers", short(report.cpu.client_s, 1));
    match report.cpu.server_s {
        Some(server_s) => format!("{client}, {} s for the instance", short(server_s, 1)),
        None => format!("{client}; the instance's is not known"),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
fn seconds(s: f64) -> String {
    long_span((s * 1000.0).max(0.0) as u64)
}

/// An RFC 3339 moment without the T and the fractions; anything else as it is.
fn spoken(moment: &str) -> String {
    match (moment.get(..10), moment.get(10..11), moment.get(11..19)) {
        (Some(date), Some("T"), Some(time)) if moment.ends_with('Z') => format!("{date} {time} UTC"),
        _ => moment.to_owned(),
    }
}

/// Fillings for stacked areas: they differ without colours too.
fn patterns() -> Markup {
    html! {
        svg.hidden width="0" height="0" aria-hidden="true" {
            defs {
                pattern id="stripes-held" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.ground-held width="7" height="7" {}
                    rect.ink width="1.6" height="7" {}
                }
                pattern id="dots-admitted" width="7" height="7" patternUnits="userSpaceOnUse" {
                    rect.ground-admitted width="7" height="7" {}
                    circle.ink cx="3.5" cy="3.5" r="1.3" {}
                }
                pattern id="stripes-refused" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)" {
                    rect.ground-refused width="7" height="7" {}
                    rect.ink width="1.6" height="7" {}
                }
            }
        }
    }
}
