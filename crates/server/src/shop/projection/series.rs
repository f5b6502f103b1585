//! From events to time series: the counts of a range of a ledger by seconds, minutes and hours. Pure.

use crate::store::counters::CountersRow;
use crate::store::series::{EventCounts, STEPS_S, SeriesRow, UnitLevels, bucket_start};
use sale::{Event, LedgerEntry, ReleaseCause, Timestamp, UnitSource};
use std::collections::BTreeMap;

/// The counts of a range.
#[derive(Debug, Default)]
pub(crate) struct SeriesTotals(BTreeMap<(i64, Timestamp), SeriesRow>);

impl SeriesTotals {
    /// Adds an event; `after` is the sale's row after it.
    pub(crate) fn add_event(&mut self, entry: &LedgerEntry, after: &CountersRow) {
        let units = unit_levels(entry, after);
        for step_s in STEPS_S {
            let at = bucket_start(entry.at, step_s);
            let counts = EventCounts::default();
            let row =
                self.0.entry((step_s, at)).or_insert(SeriesRow { step_s, at, counts, units, seq: entry.seq });
            row.units = units;
            row.seq = entry.seq;
            count_event(&mut row.counts, &entry.event, after.policy.sells_at_once());
        }
    }

    /// A row for each second, minute and hour in which something happened.
    pub(crate) fn into_rows(self) -> Vec<SeriesRow> {
        self.0.into_values().collect()
    }
}

/// The levels after an event. No buyer waits once the sale is over, though the law still counts those who waited then.
fn unit_levels(entry: &LedgerEntry, after: &CountersRow) -> UnitLevels {
    let is_closed = after.closed_at.is_some() || entry.event == Event::Closed;
    let mut units = UnitLevels::from(after.counters);
    if is_closed || entry.at >= after.policy.ends_at {
        units.waiting = 0;
    }
    units
}

fn count_event(counts: &mut EventCounts, event: &Event, sells_at_once: bool) {
    match event {
        Event::Configured { .. }
        | Event::Paused
        | Event::Resumed
        | Event::Closed
        | Event::Restocked { .. }
        | Event::Extended { .. }
        | Event::PaymentBegun { .. }
        | Event::PaymentEnded { .. } => {}
        Event::Joined { .. } => counts.joined += 1,
        Event::Left { .. } => counts.left += 1,
        Event::Admitted { .. } => counts.admitted += 1,
        Event::Lapsed { .. } => counts.lapsed += 1,
        Event::Held { .. } => counts.ordered += 1,
        Event::Confirmed { from, .. } => {
            counts.confirmed += 1;
            // What does not come from a hold was sold at once, or is paid late: then it was counted when it was held. (A late
            // payment in a sale that was changed to sell at once since is counted twice: the event does not show the difference.)
            if *from != UnitSource::Hold && sells_at_once {
                counts.ordered += 1;
            }
        }
        Event::Released { reason: ReleaseCause::Expired, .. } => counts.expired += 1,
        Event::Released { reason: ReleaseCause::Cancelled, .. } => counts.cancelled += 1,
        Event::Released { reason: ReleaseCause::Declined, .. } => counts.declined += 1,
        Event::Refunded { .. } => counts.refunded += 1,
    }
}
