//! What the tables tell over time, counted from the ledger in another way. It shares no rule with what it checks.

use super::{ExpectedTables, SALE};
use crate::store::Store;
use crate::store::series::{self, EventCounts, SeriesBucket, SeriesRange, UnitLevels, bucket_start};
use crate::store::statistics::{self, DurationStats, SaleStatistics};
use sale::{Event, LedgerEntry, OrderId, ReleaseCause, SaleState, Ticket, Timestamp, UnitSource};
use std::collections::BTreeMap;

/// The pieces that a ledger makes.
pub(super) fn expected_buckets(entries: &[LedgerEntry], step_s: i64) -> Vec<SeriesBucket> {
    let mut state = SaleState::new();
    let mut pieces: BTreeMap<Timestamp, SeriesBucket> = BTreeMap::new();
    for entry in entries {
        state.apply(entry);
        let at = bucket_start(entry.at, step_s);
        let empty = SeriesBucket { at, counts: EventCounts::default(), refused: 0, units: None };
        let piece = pieces.entry(at).or_insert(empty);
        piece.units = Some(UnitLevels::from(state.counters()));
        let counts = &mut piece.counts;
        let counted = match (entry.event.name(), &entry.event) {
            ("joined", _) => &mut counts.joined,
            ("admitted", _) => &mut counts.admitted,
            ("left", _) => &mut counts.left,
            ("lapsed", _) => &mut counts.lapsed,
            ("held", _) => &mut counts.ordered,
            ("refunded", _) => &mut counts.refunded,
            ("confirmed", _) => &mut counts.confirmed,
            (_, Event::Released { reason: ReleaseCause::Expired, .. }) => &mut counts.expired,
            (_, Event::Released { reason: ReleaseCause::Cancelled, .. }) => &mut counts.cancelled,
            (_, Event::Released { reason: ReleaseCause::Declined, .. }) => &mut counts.declined,
            _ => continue,
        };
        *counted += 1;
        if is_sold_at_once(&state, &entry.event) {
            counts.ordered += 1;
        }
    }
    pieces.into_values().collect()
}

/// Without a hold before it. A payment that comes late, after its sale was changed to sell at once, is taken for one too.
fn is_sold_at_once(state: &SaleState, event: &Event) -> bool {
    let sells_at_once = state.policy().is_some_and(sale::Policy::sells_at_once);
    matches!(event, Event::Confirmed { from, .. } if *from != UnitSource::Hold) && sells_at_once
}

/// The tables hold, in seconds, minutes and hours, what the ledger says.
pub(super) async fn assert_table_matches(store: &Store, entries: &[LedgerEntry]) {
    let (first, last) = (entries.first().unwrap().at, entries.last().unwrap().at);
    for step_s in [1, 7, 60, 120, 3600] {
        let range =
            SeriesRange { from: bucket_start(first, step_s), to: last.plus_ms(step_s * 1000), step_s };
        assert_eq!(
            series::list_buckets(store, SALE, range).await.unwrap(),
            expected_buckets(entries, step_s),
            "{step_s} s"
        );
        let middle = bucket_start(entries[entries.len() / 2].at, step_s);
        let earlier = expected_buckets(entries, step_s).into_iter().rfind(|piece| piece.at < middle);
        let before =
            series::find_units_before(store, SALE, SeriesRange { from: middle, ..range }).await.unwrap();
        assert_eq!(before, earlier.and_then(|piece| piece.units));
    }
    let read = statistics::load_statistics(store, SALE).await.unwrap();
    assert_eq!(read, expected_statistics(entries));
}

/// A sale's statistics, computed from its ledger.
fn expected_statistics(entries: &[LedgerEntry]) -> SaleStatistics {
    let mut state = SaleState::new();
    let mut statistics = SaleStatistics::default();
    let mut joined: BTreeMap<Ticket, Timestamp> = BTreeMap::new();
    let mut admitted = joined.clone();
    let mut held: BTreeMap<OrderId, Timestamp> = BTreeMap::new();
    let (mut waits, mut checkouts, mut payments) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        state.apply(entry);
        match &entry.event {
            Event::Joined { ticket, .. } => drop(joined.insert(*ticket, entry.at)),
            Event::Admitted { ticket, .. } => {
                admitted.insert(*ticket, entry.at);
                waits.push(entry.at.ms_since(joined[ticket]));
            }
            Event::Held { order, .. } => drop(held.insert(*order, entry.at)),
            Event::Confirmed { order, .. } if !is_sold_at_once(&state, &entry.event) => {
                payments.extend(held.get(order).map(|at| entry.at.ms_since(*at)));
            }
            _ => {}
        }
        if let Event::Held { from: UnitSource::Admission { ticket }, .. }
        | Event::Confirmed { from: UnitSource::Admission { ticket }, .. } = &entry.event
        {
            checkouts.push(entry.at.ms_since(admitted[ticket]));
        }
        let counters = state.counters();
        statistics.taken_at = statistics.taken_at.or((counters.available == 0).then_some(entry.at));
        statistics.sold_out_at =
            statistics.sold_out_at.or((counters.sold == counters.quantity).then_some(entry.at));
    }
    let seconds = expected_buckets(entries, 1);
    let is_busy =
        |piece: &&SeriesBucket| EventCounts { refunded: 0, ..piece.counts } != EventCounts::default();
    statistics.activity =
        seconds.iter().find(is_busy).map(|first| (first.at, seconds.iter().rfind(is_busy).unwrap().at));
    statistics.joins_peak = peak(&seconds, |counts| counts.joined);
    statistics.orders_peak = peak(&seconds, |counts| counts.ordered);
    statistics.totals = expected_buckets(entries, 1_000_000_000)[0].counts;
    let mut buyers: Vec<_> = state
        .orders()
        .filter(|order| order.status.as_str() == "confirmed")
        .map(|order| order.buyer)
        .collect();
    buyers.sort_unstable();
    buyers.dedup();
    statistics.buyers = buyers.len() as u64;
    [statistics.wait, statistics.checkout, statistics.payment] = [waits, checkouts, payments].map(spans);
    statistics
}

fn peak(seconds: &[SeriesBucket], of: impl Fn(&EventCounts) -> u64) -> Option<statistics::PeakSecond> {
    let most = seconds.iter().map(|piece| of(&piece.counts)).max().filter(|most| *most > 0)?;
    let at = seconds.iter().find(|piece| of(&piece.counts) == most)?.at;
    Some(statistics::PeakSecond { at, count: most })
}

fn spans(mut all: Vec<i64>) -> Option<DurationStats> {
    all.sort_unstable();
    let rank = |percent: usize| all.get((all.len() * percent).div_ceil(100).max(1) - 1).copied();
    Some(DurationStats { count: all.len() as u64, p50_ms: rank(50)?, p95_ms: rank(95)? })
}

impl ExpectedTables {
    /// Adds the rows of a batch, as the database does.
    pub(super) fn add(&mut self, rows: Vec<series::SeriesRow>) {
        for row in rows {
            let known = self.series.entry((row.step_s, row.at)).or_default();
            let EventCounts { joined, admitted, left, lapsed, ordered, .. } = row.counts;
            let EventCounts { confirmed, expired, cancelled, declined, refunded, .. } = row.counts;
            known.joined += joined;
            known.admitted += admitted;
            known.left += left;
            known.lapsed += lapsed;
            known.ordered += ordered;
            known.confirmed += confirmed;
            known.expired += expired;
            known.cancelled += cancelled;
            known.declined += declined;
            known.refunded += refunded;
        }
    }

    pub(super) fn assert_series(&self, entries: &[LedgerEntry]) {
        for step_s in series::STEPS_S {
            let expected =
                expected_buckets(entries, step_s).into_iter().map(|bucket| (bucket.at, bucket.counts));
            let stored = self.series.iter().filter(|((step, _), _)| *step == step_s);
            let stored: Vec<_> = stored.map(|((_, at), counts)| (*at, *counts)).collect();
            assert_eq!(stored, expected.collect::<Vec<_>>(), "{step_s} s");
        }
    }
}
