//! What a rehearsal leaves behind: one document, as JSON for programs, as one self-contained page for people, and as text for
//! a terminal. It never judges and reads no clock: it shows only its input.

mod page;

mod charts;
mod promises;
mod tables;

mod chart;
mod scale;

mod text;

pub mod format;

pub use page::render_html;
pub use text::render_text;

use crate::judge::{PromiseFinding, StockSample};
use serde::Serialize;

/// The report as a document for programs: camelCase names that stay as they are.
///
/// # Panics
/// Never: a report has no key that is not text, and writing into memory does not fail.
#[must_use]
pub fn render_json(report: &RehearsalReport) -> String {
    serde_json::to_string_pretty(report).expect("a report is names, numbers and text")
}

/// Everything about one rehearsal.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RehearsalReport {
    /// Whether every promise was kept.
    pub verdict: RehearsalVerdict,
    /// The promises as the buyers saw them.
    #[serde(rename = "told")]
    pub replies: Vec<PromiseFinding>,
    /// The promises as the ledger shows them.
    pub ledger: Vec<PromiseFinding>,
    /// The promises as a receiver of events saw them; none without `--events`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<PromiseFinding>,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// The version of the program that rehearsed.
    pub program: String,
    /// Against what: the instance's address, or "a private instance".
    pub instance: String,
    /// Where ledger and tables were read, in words.
    pub evidence: String,
    /// The seed: the same settings and seed make the same crowd.
    pub seed: u64,
    /// The command that repeats it.
    pub command: String,
    /// The settings, each a name and a value for people.
    pub settings: Vec<SettingRow>,
    /// Seconds from the beginning of the rehearsal (before the sign-in) to the verdict.
    pub duration_s: f64,
    /// Moment of the sale's start, in milliseconds since the rehearsal began.
    pub start_ms: u64,
    /// Units of the sale.
    pub quantity: u32,
    /// How the crowd was made up: people by manner.
    pub crowd: Vec<NamedCount>,
    /// How it ended for the people.
    pub outcomes: Vec<NamedCount>,
    pub refusals: Vec<NamedCount>,
    /// Requests that were sent, and what became of them.
    pub requests: RequestCounts,
    /// How good the estimates of the wait were.
    pub estimates: EstimateQuality,
    /// Latencies by sort of request, from the moment at which each was due; the first is of all.
    pub latency: Vec<RequestLatency>,
    /// Slots of equal length, from the rehearsal's beginning to its end.
    pub timeline: Vec<TimelineSlot>,
    /// Milliseconds of a slot.
    pub slot_ms: u64,
    /// Where the units were.
    pub stock: Vec<StockSample>,
    /// What was done to the instance.
    pub faults: Vec<InjectedFault>,
    /// What a reader should know, in sentences.
    pub notes: Vec<String>,
    pub cpu: CpuTime,
}

/// Whether every promise was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "word", rename_all = "lowercase")]
pub enum RehearsalVerdict {
    Kept,
    Broken {
        promises: Vec<String>,
    },
    /// It could not be played or read to the end.
    Unjudged {
        /// Why, in one sentence.
        reason: String,
    },
}

impl RehearsalReport {
    /// The verdict as one sentence.
    #[must_use]
    pub fn verdict_sentence(&self) -> String {
        match &self.verdict {
            RehearsalVerdict::Kept => "Every promise was kept.".to_owned(),
            RehearsalVerdict::Broken { promises } => match promises.as_slice() {
                [one] => format!("1 promise was broken: {one}."),
                all => format!("{} promises were broken: {}.", all.len(), all.join(", ")),
            },
            RehearsalVerdict::Unjudged { reason } => format!("Not judged: {}.", reason.trim_end_matches('.')),
        }
    }

    fn people_count(&self) -> u64 {
        self.outcomes.iter().map(|outcome| outcome.count).sum()
    }

    /// Units sold, by the instance's last sample.
    fn sold_units(&self) -> Option<u32> {
        self.stock.last().map(|units| units.sold)
    }

    /// Requests sent a second, in the busiest slot.
    fn peak_per_second(&self) -> f64 {
        let most = self.timeline.iter().map(|slot| slot.sent).max().unwrap_or(0);
        self.per_second(most)
    }

    /// So many in one slot, as a rate.
    fn per_second(&self, count: u64) -> f64 {
        count as f64 * 1000.0 / self.slot_ms.max(1) as f64
    }

    /// Latencies of all requests together.
    fn overall_latency(&self) -> Option<&RequestLatency> {
        self.latency.first()
    }
}

/// A name and a value.
#[derive(Clone, Debug, Serialize)]
pub struct SettingRow {
    pub name: String,
    /// The value, with its unit.
    pub value: String,
}

/// So many of something.
#[derive(Clone, Debug, Serialize)]
pub struct NamedCount {
    pub name: String,
    pub count: u64,
}

/// The first estimate of the wait after the start that each buyer got, compared with the wait that followed:
/// `given = good + too_short + too_long + never_admitted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EstimateQuality {
    /// Of buyers whose wait ended by itself.
    pub given: u64,
    /// Within ten seconds or a factor of two of the wait.
    pub good: u64,
    pub too_short: u64,
    pub too_long: u64,
    /// The buyer's turn never came.
    pub never_admitted: u64,
    /// Buyers who were admitted and had got no estimate.
    pub admitted_without: u64,
    /// Buyers whose turn never came and who had got no estimate.
    pub refused_without: u64,
}

/// `sent = answered + unanswered + lost + open`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestCounts {
    pub sent: u64,
    pub answered: u64,
    /// Without one: the connection was cut or could not be made, or it took too long.
    pub unanswered: u64,
    /// Replies that the client dropped on purpose, to simulate lost replies.
    pub lost: u64,
    /// Under way; at the end those that the end of the rehearsal cut off.
    pub open: u64,
    /// Sent again with the same key: a part of those sent.
    pub repeated: u64,
}

/// Latencies of one sort of request, in milliseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestLatency {
    pub name: String,
    pub count: u64,
    pub p50_ms: f64,
    /// The 90th percentile.
    pub p90_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The 99.9th percentile.
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// What happened in one slot of time.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineSlot {
    /// Its beginning, in milliseconds since the rehearsal began.
    pub at_ms: u64,
    pub arrivals: u64,
    pub sent: u64,
    /// Replies of success.
    pub accepted: u64,
    /// Replies of refusal.
    pub refused: u64,
    /// Requests that got no reply.
    pub unanswered: u64,
    /// Latencies of the replies received in this slot, in milliseconds: 0 when there were none.
    pub p50_ms: f64,
    /// The 90th percentile.
    pub p90_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// Something that was done to the instance.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InjectedFault {
    /// When, in milliseconds since the rehearsal began.
    pub at_ms: u64,
    /// Its sort, for the charts.
    pub sort: FaultKind,
    /// What, for people, such as "killed", "answers again after 310 ms", "disk full".
    pub what: String,
}

/// Sorts of what is done to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    Killed,
    Back,
    /// Its disk is full.
    DiskFull,
    /// Its disk has free space again.
    DiskFree,
    /// Its machine's clock jumps.
    ClockJump,
}

impl FaultKind {
    /// Whether it does harm, rather than ending one.
    #[must_use]
    pub fn is_harm(self) -> bool {
        matches!(self, Self::Killed | Self::DiskFull | Self::ClockJump)
    }

    /// What ends it, where it lasts.
    fn recovery(self) -> Option<Self> {
        match self {
            Self::Killed => Some(Self::Back),
            Self::DiskFull => Some(Self::DiskFree),
            _ => None,
        }
    }

    /// Itself in a word or two.
    fn label(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Back => "back",
            Self::DiskFull => "disk full",
            Self::DiskFree => "disk free",
            Self::ClockJump => "clock jumps",
        }
    }
}

/// Processor time, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CpuTime {
    /// Of the rehearsal's buyers.
    pub client_s: f64,
    /// Of the instance, where it is a private one.
    pub server_s: Option<f64>,
}

/// The state of a run, for the live view.
#[derive(Clone, Debug, Default)]
pub struct RunProgress {
    /// Milliseconds since the rehearsal began.
    pub now_ms: u64,
    /// Milliseconds since the sale's start; negative before, nothing while there is no sale yet.
    pub since_start_ms: Option<i64>,
    /// What is being done: "preparing", "buyers sign in", "the crowd gathers", "on sale", "settling" or "judging".
    pub phase: &'static str,
    /// People in the crowd.
    pub people: u64,
    /// People who have come.
    pub arrived: u64,
    /// People who are done.
    pub gone: u64,
    /// The counters of the last sample.
    pub stock: Option<StockSample>,
    /// Requests sent so far.
    pub requests: RequestCounts,
    /// Replies a second, over the last seconds.
    pub per_second: u64,
    /// Median latency in the last seconds, in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile in the last seconds, in milliseconds.
    pub p99_ms: f64,
    /// Refusals by code so far, the most frequent first.
    pub refusals: Vec<NamedCount>,
    /// What was done to the instance so far.
    pub faults: Vec<InjectedFault>,
}

impl RunProgress {
    /// When something was done to the instance, in milliseconds from the sale's start.
    pub(crate) fn fault_since_start_ms(&self, fault: &InjectedFault) -> Option<i64> {
        let ago_ms = i64::try_from(self.now_ms.saturating_sub(fault.at_ms)).ok()?;
        Some(self.since_start_ms?.saturating_sub(ago_ms))
    }
}
