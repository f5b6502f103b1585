//! The report for a terminal: the promises as a table, how it ended in a few lines, and the verdict last. It never reads
//! what the terminal is: width and colour are arguments.

use super::format::{count, moment, percent, printable, rate, short, span_ms, wrap_text};
use super::{EstimateQuality, NamedCount, RehearsalReport, RehearsalVerdict, charts::since_start};
use crate::judge::{PromiseFinding, PromiseOffence};
use console::{Style, measure_text_width};
use std::fmt::Write;
use std::path::PathBuf;

/// Columns before the sentence of a promise: the table of `doorbuster verify` looks alike.
const SENTENCE_AT: usize = 51;
/// A sentence with fewer columns than this goes below.
const SENTENCE_MIN: usize = 30;
/// Columns before the text under a heading.
const SUMMARY_AT: usize = 12;

/// The report as text, `width` columns wide but for what must stay in one piece, such as a path; without the last line's end.
/// `files` are where it can be read in full.
#[must_use]
pub fn render_text(report: &RehearsalReport, files: &[PathBuf], width: usize, is_coloured: bool) -> String {
    let ink = ReportTextStyle { width, is_coloured };
    let mut out = String::new();
    for (heading, findings) in [
        ("What the buyers were shown", &report.replies),
        ("What the ledger shows", &report.ledger),
        ("What a receiver of events got", &report.events),
    ] {
        if !findings.is_empty() {
            let _ = writeln!(out, "{}\n{}", ink.bold(heading), ink.promises(findings));
        }
    }
    let _ = writeln!(out, "{}", ink.summary(report, files));
    let verdict = wrap_text(&report.verdict_sentence(), 0, width);
    out + &match report.verdict {
        RehearsalVerdict::Kept => ink.good(&verdict),
        RehearsalVerdict::Broken { .. } => ink.bad(&verdict),
        RehearsalVerdict::Unjudged { .. } => ink.odd(&verdict),
    }
}

/// How wide, and whether in colours.
struct ReportTextStyle {
    width: usize,
    is_coloured: bool,
}

impl ReportTextStyle {
    fn promises(&self, findings: &[PromiseFinding]) -> String {
        let header = format!("  {:<8}{:<14}  {:>13}  {:>7}", "", "promise", "checked", "broken");
        let mut out = format!("{}\n", self.faint(&header));
        for finding in findings {
            let PromiseFinding { name, sentence, checked, broken, first } = finding;
            let word = match (*broken, *checked) {
                (0, 0) => self.faint("kept    "),
                (0, _) => self.good("kept    "),
                _ => self.bad("BROKEN  "),
            };
            let _ = write!(out, "  {word}{name:<14}  {:>13}  {:>7}", count(*checked), count(*broken));
            if self.width >= SENTENCE_AT + SENTENCE_MIN {
                let _ = writeln!(out, "   {}", wrap_text(sentence, SENTENCE_AT, self.width));
            } else {
                let _ = writeln!(out, "\n          {}", wrap_text(sentence, 10, self.width));
            }
            if let Some(offence) = first {
                let _ = write!(out, "{}", self.first(offence));
            }
        }
        out
    }

    fn first(&self, offence: &PromiseOffence) -> String {
        let head = self.bad("first offence:");
        let detail = wrap_text(&format!("first offence: {}", offence.detail), 10, self.width);
        let mut out = format!("          {}\n", detail.replacen("first offence:", &head, 1));
        let places = [
            offence.buyer.map(|buyer| format!("buyer {buyer}")),
            offence.order.map(|order| format!("order {order}")),
            offence.event.map(|event| format!("event {event}")),
        ];
        for place in places.into_iter().flatten() {
            let _ = writeln!(out, "          {place}");
        }
        out
    }

    fn summary(&self, report: &RehearsalReport, files: &[PathBuf]) -> String {
        let requests = &report.requests;
        let mut out = String::new();
        self.row(&mut out, "people", &format_counts(&report.outcomes));
        let sent = [
            Some(format!("{} sent", count(requests.sent))),
            Some(format!("{} answered", count(requests.answered))),
            Some(format!("{} unanswered", count(requests.unanswered))),
            (requests.lost > 0).then(|| format!("{} replies dropped on purpose", count(requests.lost))),
            (requests.open > 0).then(|| format!("{} open at the end", count(requests.open))),
            (requests.repeated > 0).then(|| format!("{} of them repeated", count(requests.repeated))),
            Some(format!("peak {} a second", rate(report.peak_per_second()))),
        ];
        self.row(&mut out, "requests", &sent.into_iter().flatten().collect::<Vec<_>>());
        self.row(&mut out, "refused", &format_counts(&report.refusals));
        self.row(&mut out, "estimates", &format_estimates(&report.estimates));
        if let Some(all) = report.overall_latency() {
            let [p50, p99, max] = [all.p50_ms, all.p99_ms, all.max_ms].map(span_ms);
            let percentiles = [
                format!("median {p50}"),
                format!("p99 {p99}"),
                format!("longest {max}"),
                "from the due time".to_owned(),
            ];
            self.row(&mut out, "latency", &percentiles);
        }
        let harm = report.faults.iter().filter(|fault| fault.sort.is_harm());
        let mut harm: Vec<String> = harm
            .map(|fault| format!("{} at {}", fault.what, moment(since_start(report, fault.at_ms))))
            .collect();
        if harm.len() > 4 {
            let more = harm.split_off(3).len();
            harm.push(format!("{} more", count(more as u64)));
        }
        self.row(&mut out, "faults", &harm);
        let server = report.cpu.server_s.map(|s| format!("{} s for the instance", short(s, 1)));
        let client = format!("{} s for the buyers", short(report.cpu.client_s, 1));
        self.row(&mut out, "processor", &[Some(client), server].into_iter().flatten().collect::<Vec<_>>());
        self.row(&mut out, "evidence", &[format!("ledger and tables {}", report.evidence)]);
        for note in &report.notes {
            let _ = writeln!(out, "{}{}", self.head("note"), wrap_text(note, SUMMARY_AT, self.width));
        }
        for file in files {
            let _ = writeln!(out, "{}{}", self.head("report"), file.display());
        }
        out
    }

    /// A heading and phrases with dots between them; nothing without phrases.
    fn row(&self, out: &mut String, heading: &str, phrases: &[String]) {
        if phrases.is_empty() {
            return;
        }
        let mut line = String::new();
        let mut lines = Vec::new();
        for phrase in phrases {
            let separator = if line.is_empty() { "" } else { " · " };
            let wide = measure_text_width(&line) + measure_text_width(separator) + measure_text_width(phrase);
            if !line.is_empty() && SUMMARY_AT + wide > self.width {
                lines.push(std::mem::take(&mut line));
                line.push_str(phrase);
            } else {
                line.push_str(separator);
                line.push_str(phrase);
            }
        }
        lines.push(line);
        let indent = format!("\n{}", " ".repeat(SUMMARY_AT));
        let _ = writeln!(out, "{}{}", self.head(heading), lines.join(&indent));
    }

    fn head(&self, heading: &str) -> String {
        self.faint(&format!("{heading:<SUMMARY_AT$}"))
    }

    fn good(&self, text: &str) -> String {
        self.paint(&Style::new().green(), text)
    }

    fn bad(&self, text: &str) -> String {
        self.paint(&Style::new().red().bold(), text)
    }

    fn odd(&self, text: &str) -> String {
        self.paint(&Style::new().yellow(), text)
    }

    fn faint(&self, text: &str) -> String {
        self.paint(&Style::new().dim(), text)
    }

    fn bold(&self, text: &str) -> String {
        self.paint(&Style::new().bold(), text)
    }

    fn paint(&self, style: &Style, text: &str) -> String {
        style.clone().force_styling(self.is_coloured).apply_to(text).to_string()
    }
}

/// How good the estimates of the wait were; nothing without a line.
fn format_estimates(estimates: &EstimateQuality) -> Vec<String> {
    let EstimateQuality { given, good, too_short, too_long, never_admitted, admitted_without, .. } =
        *estimates;
    if given == 0 {
        return Vec::new();
    }
    let parts = [
        Some(format!("{} of {} right within 10 s or a factor of 2", percent(good, given), count(given))),
        (too_short > 0).then(|| format!("{} too short", count(too_short))),
        (too_long > 0).then(|| format!("{} too long", count(too_long))),
        (never_admitted > 0).then(|| format!("{} never admitted", count(never_admitted))),
        (admitted_without > 0).then(|| format!("{} admitted without one", count(admitted_without))),
    ];
    parts.into_iter().flatten().collect()
}

fn format_counts(counts: &[NamedCount]) -> Vec<String> {
    counts.iter().map(|row| printable(&format!("{} {}", row.name, count(row.count)))).collect()
}
