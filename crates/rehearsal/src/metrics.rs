//! What is measured while a crowd plays: counts and latencies, over time and by sort of request, in bounded memory.
//!
//! A latency runs from the moment at which a buyer wanted something to the moment at which it was settled. Waiting for a
//! connection and asking again after a crash are part of it: a client that waits with the next request until the last one is
//! answered would measure only the good moments.

use crate::observations::{Code, RunInstant};
use crate::report::{NamedCount, RequestCounts, RequestLatency, TimelineSlot};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// A poll of the sale, or of the place in line.
    Look,
    Join,
    Order,
    Pay,
    /// Giving something back: a place or an order.
    GiveBack,
}

const KINDS: [(RequestKind, &str); 5] = [
    (RequestKind::Look, "look"),
    (RequestKind::Join, "join"),
    (RequestKind::Order, "order"),
    (RequestKind::Pay, "pay"),
    (RequestKind::GiveBack, "give back"),
];

/// Slots of the timeline at most. When they are used up, each two become one that is twice as long.
const SLOTS_MAX: usize = 600;
/// The length of a slot at first, in milliseconds.
const SLOT_MS_MIN: u64 = 100;
/// Latencies of a slot are kept to two digits, those of the whole rehearsal to three; the longest is an hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;
/// The live view shows the latencies of this long, in milliseconds.
const RECENT_MS: u64 = 2_000;

#[derive(Debug)]
pub struct RequestMetrics(Mutex<MetricsState>);

#[derive(Debug)]
struct MetricsState {
    slot_ms: u64,
    slots: Vec<SlotCounters>,
    kinds: [Histogram<u64>; KINDS.len()],
    requests: RequestCounts,
    refusals: BTreeMap<Code, u64>,
    last_reply_at: RunInstant,
}

#[derive(Clone, Debug)]
struct SlotCounters {
    arrivals: u64,
    sent: u64,
    accepted: u64,
    refused: u64,
    unanswered: u64,
    latency: Histogram<u64>,
}

impl Default for SlotCounters {
    fn default() -> Self {
        let latency = new_histogram(2);
        Self { arrivals: 0, sent: 0, accepted: 0, refused: 0, unanswered: 0, latency }
    }
}

impl Default for RequestMetrics {
    fn default() -> Self {
        let inner = MetricsState {
            slot_ms: SLOT_MS_MIN,
            slots: Vec::new(),
            kinds: std::array::from_fn(|_| new_histogram(3)),
            requests: RequestCounts::default(),
            refusals: BTreeMap::new(),
            last_reply_at: RunInstant::default(),
        };
        Self(Mutex::new(inner))
    }
}

impl RequestMetrics {
    pub fn record_arrival(&self, at: RunInstant) {
        self.with_state(|inner| inner.slot_mut(at).arrivals += 1);
    }

    pub fn record_request(&self, at: RunInstant, again: bool) {
        self.with_state(|inner| {
            inner.requests.sent += 1;
            inner.requests.repeated += u64::from(again);
            inner.slot_mut(at).sent += 1;
        });
    }

    /// A reply came; with the code if it was a refusal.
    pub fn record_reply(&self, at: RunInstant, refused: Option<Code>) {
        self.with_state(|inner| {
            inner.requests.answered += 1;
            inner.last_reply_at = inner.last_reply_at.max(at);
            let slot = inner.slot_mut(at);
            if let Some(code) = refused {
                slot.refused += 1;
                *inner.refusals.entry(code).or_default() += 1;
            } else {
                slot.accepted += 1;
            }
        });
    }

    /// The buyer dropped the reply on purpose.
    pub fn record_lost_reply(&self) {
        self.with_state(|inner| inner.requests.lost += 1);
    }

    pub fn record_unanswered(&self, at: RunInstant) {
        self.with_state(|inner| {
            inner.requests.unanswered += 1;
            inner.slot_mut(at).unanswered += 1;
        });
    }

    /// What was wanted at `due` is settled, or is given up: then it would have taken at least as long.
    pub fn record_latency(&self, kind: RequestKind, due: RunInstant, at: RunInstant) {
        let us = at.0.saturating_sub(due.0).clamp(1, LATENCY_US_MAX);
        self.with_state(|inner| {
            let _fits = inner.kinds[kind as usize].record(us);
            let _fits = inner.slot_mut(at).latency.record(us);
        });
    }

    /// When the last reply came.
    #[must_use]
    pub fn last_reply_at(&self) -> RunInstant {
        self.with_state(|inner| inner.last_reply_at)
    }

    #[must_use]
    pub fn requests(&self) -> RequestCounts {
        self.with_state(|inner| {
            let counts = inner.requests;
            let settled = counts.answered + counts.unanswered + counts.lost;
            RequestCounts { open: counts.sent.saturating_sub(settled), ..counts }
        })
    }

    /// Refusals so far, the most frequent first.
    #[must_use]
    pub fn refusals(&self) -> Vec<NamedCount> {
        self.with_state(|inner| {
            let mut counts: Vec<NamedCount> = inner
                .refusals
                .iter()
                .map(|(code, count)| NamedCount { name: code.as_str().to_owned(), count: *count })
                .collect();
            counts.sort_by_key(|count| std::cmp::Reverse(count.count));
            counts
        })
    }

    /// Replies a second, median and 99th percentile (in milliseconds) of the last two seconds or a little more.
    #[must_use]
    pub fn summarize_recent(&self, now: RunInstant) -> (u64, f64, f64) {
        self.with_state(|inner| {
            let now_ms = now.0 / 1000;
            let first = now_ms.saturating_sub(RECENT_MS) / inner.slot_ms;
            // From the beginning of a slot, which in a long rehearsal is longer than what is shown.
            let span_ms = (now_ms - first * inner.slot_ms).max(1);
            let from = usize::try_from(first).unwrap_or(usize::MAX).min(inner.slots.len());
            let mut latency = new_histogram(2);
            let mut replies = 0;
            for slot in &inner.slots[from..] {
                replies += slot.accepted + slot.refused;
                let _fits = latency.add(&slot.latency);
            }
            (replies * 1000 / span_ms, quantile_ms(&latency, 0.5), quantile_ms(&latency, 0.99))
        })
    }

    /// The timeline, and the length of its slots in milliseconds.
    #[must_use]
    pub fn timeline(&self) -> (Vec<TimelineSlot>, u64) {
        self.with_state(|inner| {
            let slots = inner.slots.iter().enumerate();
            (
                slots.map(|(index, counts)| counts.to_slot(index as u64 * inner.slot_ms)).collect(),
                inner.slot_ms,
            )
        })
    }

    /// Latencies: of all requests, and of each sort that was sent.
    #[must_use]
    pub fn latency(&self) -> Vec<RequestLatency> {
        self.with_state(|inner| {
            let mut all = new_histogram(3);
            for kind in &inner.kinds {
                let _fits = all.add(kind);
            }
            let kinds = KINDS.iter().map(|(kind, name)| (*name, &inner.kinds[*kind as usize]));
            std::iter::once(("all", &all))
                .chain(kinds)
                .filter(|(_, histogram)| !histogram.is_empty())
                .map(|(name, histogram)| RequestLatency {
                    name: name.to_owned(),
                    count: histogram.len(),
                    p50_ms: quantile_ms(histogram, 0.5),
                    p90_ms: quantile_ms(histogram, 0.9),
                    p99_ms: quantile_ms(histogram, 0.99),
                    p999_ms: quantile_ms(histogram, 0.999),
                    max_ms: histogram.max() as f64 / 1000.0,
                })
                .collect()
        })
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut MetricsState) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl MetricsState {
    fn slot_mut(&mut self, at: RunInstant) -> &mut SlotCounters {
        let mut index = at.0 / 1000 / self.slot_ms;
        while index >= SLOTS_MAX as u64 {
            self.slots = self.slots.chunks(2).map(merge_slots).collect();
            self.slot_ms *= 2;
            index /= 2;
        }
        let index = usize::try_from(index).unwrap_or(SLOTS_MAX - 1);
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, SlotCounters::default);
        }
        &mut self.slots[index]
    }
}

fn merge_slots(slots: &[SlotCounters]) -> SlotCounters {
    let mut sum = SlotCounters::default();
    for slot in slots {
        sum.arrivals += slot.arrivals;
        sum.sent += slot.sent;
        sum.accepted += slot.accepted;
        sum.refused += slot.refused;
        sum.unanswered += slot.unanswered;
        let _fits = sum.latency.add(&slot.latency);
    }
    sum
}

impl SlotCounters {
    fn to_slot(&self, at_ms: u64) -> TimelineSlot {
        TimelineSlot {
            at_ms,
            arrivals: self.arrivals,
            sent: self.sent,
            accepted: self.accepted,
            refused: self.refused,
            unanswered: self.unanswered,
            p50_ms: quantile_ms(&self.latency, 0.5),
            p90_ms: quantile_ms(&self.latency, 0.9),
            p99_ms: quantile_ms(&self.latency, 0.99),
            max_ms: self.latency.max() as f64 / 1000.0,
        }
    }
}

fn quantile_ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1000.0
}

/// Grows as it needs to.
fn new_histogram(digits: u8) -> Histogram<u64> {
    let mut histogram = Histogram::new(digits).expect("0 to 5 digits are possible");
    histogram.auto(true);
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_s(s: u64) -> RunInstant {
        RunInstant(s * 1_000_000)
    }

    #[test]
    fn a_long_rehearsal_gets_longer_slots_and_loses_no_count() {
        let meter = RequestMetrics::default();
        for s in 0..3_600 {
            meter.record_request(at_s(s), false);
            meter.record_reply(at_s(s), (s % 2 == 0).then_some(Code::SoldOut));
            meter.record_latency(RequestKind::Order, at_s(s), RunInstant(s * 1_000_000 + 5_000));
        }
        let (slots, slot_ms) = meter.timeline();
        assert!(slots.len() <= SLOTS_MAX && slot_ms >= 6_000, "{} slots of {slot_ms} ms", slots.len());
        assert_eq!(slots.iter().map(|slot| slot.sent).sum::<u64>(), 3_600);
        assert_eq!(slots.iter().map(|slot| slot.refused).sum::<u64>(), 1_800);
        let latency = meter.latency();
        assert_eq!(latency[0].count, 3_600);
        assert!((latency[0].p99_ms - 5.0).abs() < 0.1, "{latency:?}");
        assert_eq!(latency.len(), 2, "all, and orders");
    }

    #[test]
    fn a_latency_runs_from_the_moment_at_which_something_was_wanted() {
        let meter = RequestMetrics::default();
        meter.record_latency(RequestKind::Join, at_s(1), at_s(4));
        assert!((meter.latency()[0].max_ms - 3_000.0).abs() < 10.0);
        let (_, p50_ms, _) = meter.summarize_recent(at_s(5));
        assert!((p50_ms - 3_000.0).abs() < 50.0, "{p50_ms}");
    }
}
